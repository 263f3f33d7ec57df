"""Application defined in a DAG: create or update it, run it, delete it.

An application holds what its runs have in common. The first task creates the application, or updates the
fields that differ from this definition.
"""

from __future__ import annotations

# [START howto_operator_application]
import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.application import (
    CreateOrUpdateApplicationOperator,
    DeleteApplicationOperator,
)
from airflow_provider_dataflow.operators.run import InvokeRunOperator

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_application",
    description="Create or update an application on OCI Data Flow, run it, and delete it",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    application = CreateOrUpdateApplicationOperator(
        task_id="application",
        display_name="weather of a month",
        language="PYTHON",
        file_uri=f"{BUCKET}/apps/monthly_weather.py",
        arguments=[
            "--input",
            f"{BUCKET}/nyc_weather/${{month}}.csv",
            "--output",
            f"{BUCKET}/monthly/month=${{month}}/",
        ],
        parameters={"month": "2013-01"},
        spark_version="3.5.0",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        num_executors=1,
    )
    june = InvokeRunOperator(
        task_id="june",
        application_id=application.output,
        parameters={"month": "2013-06"},
        deferrable=True,
        poll_interval=10,
    )
    # [END howto_operator_application]

    # [START howto_operator_delete_application]
    delete = DeleteApplicationOperator(
        task_id="delete",
        display_name="weather of a month",
        ignore_if_missing=True,
    )
    # [END howto_operator_delete_application]

    application >> june >> delete
