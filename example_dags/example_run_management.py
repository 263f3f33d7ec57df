"""Update, read, list and cancel existing runs.

The first task submits a run without waiting for it. The other tasks use its OCID, which is the first task's
result. No task waits for Spark, so the DAG run ends within a minute.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.manage_run import (
    CancelRunOperator,
    GetRunOperator,
    ListRunsOperator,
    UpdateRunOperator,
)
from airflow_provider_dataflow.operators.run import InvokeRunOperator

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_run_management",
    description="List, read, update and cancel runs on OCI Data Flow",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    submit = InvokeRunOperator(
        task_id="submit",
        execute=(
            f"{BUCKET}/apps/monthly_weather.py"
            f" --input {BUCKET}/nyc_weather/2013-03.csv --output {BUCKET}/monthly/month=2013-03/"
        ),
        display_name="monthly_weather {{ run_id }}",
        wait_for_completion=False,
    )

    # [START howto_operator_update_run]
    update = UpdateRunOperator(
        task_id="update",
        run_id=submit.output,
        freeform_tags={"team": "weather", "dag_run": "{{ run_id }}"},
        max_duration_in_minutes=60,
    )
    # [END howto_operator_update_run]

    # [START howto_operator_get_run]
    get = GetRunOperator(task_id="get", run_id=submit.output)
    # [END howto_operator_get_run]

    # [START howto_operator_list_runs]
    list_runs = ListRunsOperator(
        task_id="list_runs",
        display_name_starts_with="monthly_weather",
        limit=20,
    )
    # [END howto_operator_list_runs]

    # [START howto_operator_cancel_run]
    cancel = CancelRunOperator(
        task_id="cancel",
        run_id=submit.output,
        deferrable=True,
        poll_interval=10,
    )
    # [END howto_operator_cancel_run]

    update >> get >> list_runs >> cancel
