"""Submit a run in one task and wait for it in another, so that tasks in between need not wait for Spark.

The first task ends when Data Flow has accepted the run. Its result is the run's OCID, and the sensor waits
for that run without a worker slot.
"""

from __future__ import annotations

# [START howto_sensor_run]
import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.sensors.run import RunSensor

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_run_sensor",
    description="Submit a run on OCI Data Flow in one task, wait for it in another",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    submit = InvokeRunOperator(
        task_id="submit",
        execute=(
            f"{BUCKET}/apps/monthly_weather.py"
            f" --input {BUCKET}/nyc_weather/2013-02.csv --output {BUCKET}/monthly/month=2013-02/"
        ),
        wait_for_completion=False,
    )
    wait = RunSensor(
        task_id="wait",
        run_id=submit.output,
        deferrable=True,
        poke_interval=10,
        timeout=60 * 60,
    )
# [END howto_sensor_run]
