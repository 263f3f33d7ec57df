"""One Spark run: the weather of one month, aggregated per airport.

Runs unchanged on Local Data Flow (``make demo``, ``make up``). For OCI, upload ``spark/monthly_weather.py``
as ``apps/monthly_weather.py`` and ``data/nyc_weather`` to a bucket, set the Airflow variable
``weather_bucket`` to that bucket, and set credentials and compartment in the connection ``oci_default``.
"""

from __future__ import annotations

# [START howto_operator_invoke_run]
import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_dataflow.assets.oci import create_asset
from airflow_provider_dataflow.operators.run import InvokeRunOperator

# The default is the demo's local bucket.
BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_invoke_run",
    description="One run of a Spark application on OCI Data Flow",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    params={"month": Param("2013-01", type="string", pattern=r"^2013-\d\d$", description="Month of 2013")},
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    monthly_weather = InvokeRunOperator(
        task_id="monthly_weather",
        display_name="monthly_weather {{ params.month }}",
        execute=(
            f"{BUCKET}/apps/monthly_weather.py"
            f" --input {BUCKET}/nyc_weather/{{{{ params.month }}}}.csv"
            f" --output {BUCKET}/monthly/month={{{{ params.month }}}}/"
        ),
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        num_executors=1,
        spark_version="3.5.0",
        deferrable=True,
        poll_interval=10,
        # Each success starts the DAGs that are scheduled on this asset, here example_run_event.
        outlets=[create_asset(bucket="weather", namespace="local", name="monthly")],
    )
# [END howto_operator_invoke_run]
