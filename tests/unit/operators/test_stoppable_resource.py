"""Errors of pools and SQL endpoints."""

from __future__ import annotations

from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint
from airflow_provider_dataflow.operators.sql_endpoint import StartSqlEndpointOperator

SQL_ENDPOINT_ID = "ocid1.dataflowsqlendpoint.oc1.iad.aaaa"


def test_secret_of_a_sql_endpoint_is_hidden_in_its_error():
    endpoint = SqlEndpoint.from_api(
        {
            "id": SQL_ENDPOINT_ID,
            "lifecycleState": "FAILED",
            "stateMessage": "cannot sign in with MARKED-1",
            "sparkAdvancedConfigurations": {"spark.hadoop.password": "MARKED-1"},
        }
    )
    task = StartSqlEndpointOperator(task_id="start", sql_endpoint_id=SQL_ENDPOINT_ID)
    error = task._failed(endpoint, "it cannot be started")
    assert error.lifecycle_details == "cannot sign in with ***"
    assert "MARKED-1" not in str(error)
