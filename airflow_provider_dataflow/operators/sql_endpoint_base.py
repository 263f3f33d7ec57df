"""Base of the operators that change a SQL endpoint's state and wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.exceptions import SqlEndpointFailed, SqlEndpointLost, SqlEndpointTimedOut
from airflow_provider_dataflow.models.sql_endpoint import (
    DEAD_STATES,
    GONE_STATES,
    SqlEndpoint,
    SqlEndpointState,
)
from airflow_provider_dataflow.operators.stoppable_resource import StoppableResourceOperator
from airflow_provider_dataflow.triggers.events import SqlEndpointEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sql_endpoints import SqlEndpointClient
    from airflow_provider_dataflow.compat import Context

#: XCom of the endpoint's JDBC URL.
JDBC_ENDPOINT_URL = "jdbc_endpoint_url"

#: States that an endpoint stays in until somebody sends a request. During maintenance by the service, it is
#: UPDATING, and then returns to its state before.
SETTLED_STATES = (SqlEndpointState.ACTIVE, SqlEndpointState.INACTIVE)


class SqlEndpointOperator(StoppableResourceOperator[SqlEndpoint]):
    """Base: sends requests and waits until a SQL endpoint is in the wanted state."""

    id_argument = "sql_endpoint_id"
    label = "SQL endpoint"
    resource_class = SqlEndpoint
    event_class = SqlEndpointEvent
    idle_states = frozenset({SqlEndpointState.INACTIVE})
    starting_states = frozenset({SqlEndpointState.CREATING})
    gone_states = GONE_STATES
    dead_states = DEAD_STATES
    failed_error = SqlEndpointFailed
    timed_out_error = SqlEndpointTimedOut
    lost_error = SqlEndpointLost

    @property
    def _resources(self) -> SqlEndpointClient:
        return self.hook.sql_endpoints

    @property
    def _trigger_class(self) -> type[Any]:
        from airflow_provider_dataflow.triggers.sql_endpoint import SqlEndpointTrigger

        return SqlEndpointTrigger

    def _push_result(self, resource: SqlEndpoint, context: Context) -> None:
        if resource.jdbc_endpoint_url:
            context["ti"].xcom_push(key=JDBC_ENDPOINT_URL, value=resource.jdbc_endpoint_url)
