"""A session: each task sends code to Spark and returns its output.

The statements share one Spark application, so the second one can query the table that the first one creates.
The session is started before the statements and stopped after them, even if one has failed or was killed.
"""

from __future__ import annotations

# [START howto_operator_session]
import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.application import CreateOrUpdateApplicationOperator
from airflow_provider_dataflow.operators.session import DataFlowSession

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_session",
    description="Statements in a session on OCI Data Flow",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
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
    )
    with DataFlowSession(
        "weather",
        application_id=application.output,
        display_name="weather {{ run_id }}",
        idle_timeout_in_minutes=30,
        deferrable=True,
    ) as session:
        load = session.statement(
            "load",
            code=(
                f"weather = spark.read.csv('{BUCKET}/nyc_weather/2013-01.csv', header=True)\n"
                "weather.createOrReplaceTempView('weather')"
            ),
        )
        count = session.statement("count", code="spark.sql('SELECT count(*) FROM weather').first()[0]")
        airports = session.statement(
            "airports",
            code="spark.table('weather').groupBy('airport').count().orderBy('airport').show()",
            output_format="table",
        )
        load >> [count, airports]
# [END howto_operator_session]
