"""Statements in a SESSION run: each task sends code to Spark and returns its output.

The statements share one Spark application, so the second one can query the table that the first one creates.
The session is set up before the statements and cancelled after them.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.application import CreateOrUpdateApplicationOperator
from airflow_provider_dataflow.operators.manage_run import CancelRunOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.statement import RunStatementOperator

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_session",
    description="Statements in a session on OCI Data Flow",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    # [START howto_operator_statement]
    application = CreateOrUpdateApplicationOperator(
        task_id="application",
        display_name="weather session",
        type="SESSION",
        language="PYTHON",
        spark_version="3.5.0",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        num_executors=1,
        idle_timeout_in_minutes=30,
    )
    session = InvokeRunOperator(
        task_id="session",
        application_id=application.output,
        display_name="weather {{ run_id }}",
        wait_for_completion=False,
    )
    load = RunStatementOperator(
        task_id="load",
        run_id=session.output,
        code=(
            f"weather = spark.read.csv('{BUCKET}/nyc_weather/2013-01.csv', header=True, inferSchema=True)\n"
            "weather.createOrReplaceTempView('weather')"
        ),
        deferrable=True,
    )
    count = RunStatementOperator(
        task_id="count",
        run_id=session.output,
        code="spark.sql('SELECT count(*) FROM weather').first()[0]",
        deferrable=True,
    )
    close = CancelRunOperator(task_id="close", run_id=session.output)

    session >> load >> count >> close.as_teardown(setups=session)
    # [END howto_operator_statement]
