"""A SQL endpoint that serves queries over JDBC while a DAG run needs it, and is stopped afterwards.

An active endpoint costs money, so the DAG run starts it before the queries and stops it after them, even if
a query has failed. The first DAG run creates the endpoint; later ones start it again.
"""

from __future__ import annotations

# [START howto_operator_sql_endpoint]
import pendulum
from airflow.sdk import DAG, XComArg, task

from airflow_provider_dataflow.operators.sql_endpoint import (
    CreateOrUpdateSqlEndpointOperator,
    StopSqlEndpointOperator,
)

with DAG(
    dag_id="example_sql_endpoint",
    description="A SQL endpoint on OCI Data Flow that is set up and torn down around queries",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    # All DAG runs share the endpoint: the teardown of one would stop it for the others.
    max_active_runs=1,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    start_endpoint = CreateOrUpdateSqlEndpointOperator(
        task_id="start_endpoint",
        display_name="weather",
        sql_endpoint_version="3.5.0",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        min_executor_count=1,
        max_executor_count=2,
        lake_id="{{ var.value.get('lake_id', 'ocid1.datalake.oc1..example') }}",
        metastore_id="{{ var.value.get('metastore_id', 'ocid1.datacatalogmetastore.oc1..example') }}",
        warehouse_bucket_uri="{{ var.value.get('weather_bucket', 'oci://weather@local') }}/",
        network_configuration={
            "network_type": "SECURE_ACCESS",
            "access_control_rules": [{"ip_notation": "CIDR", "value": "10.0.0.0/16"}],
        },
        deferrable=True,
        poll_interval=10,
    )

    @task
    def query(jdbc_endpoint_url: str) -> str:
        """Stand for the tasks that query the endpoint with a JDBC or ODBC driver."""
        return f"connect to {jdbc_endpoint_url}"

    stop_endpoint = StopSqlEndpointOperator(
        task_id="stop_endpoint",
        sql_endpoint_id=start_endpoint.output,
        deferrable=True,
        poll_interval=10,
    )
    queries = query(XComArg(start_endpoint, key="jdbc_endpoint_url"))
    start_endpoint >> queries >> stop_endpoint.as_teardown(setups=start_endpoint)
# [END howto_operator_sql_endpoint]
