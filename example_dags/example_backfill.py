"""One Spark run per month: each DAG run reads and writes the data of its month.

The data covers 2013, so start the DAG with a backfill:

    airflow backfill create --dag-id example_backfill --from-date 2013-01-01 --to-date 2013-12-31 \\
        --max-active-runs 2

There is one application, and each run has its own arguments. Its OCID is in the Airflow variable
``monthly_weather_application``; ``make up`` sets it to a local application.
"""

from __future__ import annotations

# [START howto_operator_backfill]
from datetime import timedelta

import pendulum
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_dataflow.operators.run import InvokeRunOperator

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"
# Start of the data interval, not the date on which the DAG run starts.
MONTH = "{{ data_interval_start.strftime('%Y-%m') }}"

with DAG(
    dag_id="example_backfill",
    description="One run on OCI Data Flow per month of data",
    schedule=CronDataIntervalTimetable("@monthly", timezone="UTC"),
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    end_date=pendulum.datetime(2013, 12, 31, tz="UTC"),
    catchup=False,
    # Deferred tasks take no worker slot, so only this limits the number of active runs on Data Flow. A
    # backfill has a limit of its own: --max-active-runs.
    max_active_runs=2,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    monthly_weather = InvokeRunOperator(
        task_id="monthly_weather",
        application_id="{{ var.value.monthly_weather_application }}",
        display_name=f"monthly_weather {MONTH}",
        arguments=[
            "--input",
            f"{BUCKET}/nyc_weather/{MONTH}.csv",
            "--output",
            f"{BUCKET}/monthly/month={MONTH}/",
        ],
        deferrable=True,
        poll_interval=10,
        retries=2,
        retry_delay=timedelta(minutes=1),
    )
# [END howto_operator_backfill]
