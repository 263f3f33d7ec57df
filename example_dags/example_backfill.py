"""One Spark run per month: each run of the DAG reads and writes the month that it stands for.

The data covers 2013, so nothing is due by now and a backfill runs it:

    airflow backfill create --dag-id example_backfill --from-date 2013-01-01 --to-date 2013-12-31

The application exists once and every run gets arguments of its own. Its OCID is in the Airflow variable
``monthly_weather_application``; ``make up`` sets it to a local application.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_dataflow.operators.run import InvokeRunOperator

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"
# Not the date on which the run happens: the start of the interval that it is about.
MONTH = "{{ data_interval_start.strftime('%Y-%m') }}"

with DAG(
    dag_id="example_backfill",
    description="One run on OCI Data Flow per month of data",
    schedule=CronDataIntervalTimetable("@monthly", timezone="UTC"),
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    end_date=pendulum.datetime(2013, 12, 31, tz="UTC"),
    catchup=False,
    # A deferred task costs no slot, so this is what limits how many runs are on Data Flow at a time.
    max_active_runs=2,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    # [START howto_operator_backfill]
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
