"""SqlEndpointTrigger: waits in the triggerer for the state of a SQL endpoint."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint, SqlEndpointState
from airflow_provider_dataflow.triggers.events import Outcome, SqlEndpointEvent
from airflow_provider_dataflow.triggers.stoppable_resource import SERIALIZED_FIELDS, StoppableResourceTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient


class SqlEndpointTrigger(StoppableResourceTrigger):
    """Waits until a SQL endpoint is in one of the target states.

    :param sql_endpoint_id: OCID of the SQL endpoint.
    :param target_states: lifecycle states to wait for. Default: ``ACTIVE``.
    :param missing_is_deleted: treat an endpoint that the service does not find as DELETED.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    """

    serialized_fields = ("sql_endpoint_id", *SERIALIZED_FIELDS)
    resource_class = SqlEndpoint

    def __init__(
        self,
        sql_endpoint_id: str,
        target_states: Collection[str] = (SqlEndpointState.ACTIVE.value,),
        missing_is_deleted: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_states=target_states, missing_is_deleted=missing_is_deleted, **kwargs)
        self.sql_endpoint_id: str = self.read_setting("sql_endpoint_id", sql_endpoint_id)

    @property
    def resource_id(self) -> str:
        return self.sql_endpoint_id

    @property
    def resource_name(self) -> str:
        return f"SQL endpoint {self.sql_endpoint_id}"

    async def read(self, client: AsyncDataFlowClient) -> SqlEndpoint:
        return await client.get_sql_endpoint(self.sql_endpoint_id)

    def event(self, outcome: Outcome, state: str | None, message: str | None) -> SqlEndpointEvent:
        return SqlEndpointEvent(outcome, self.sql_endpoint_id, state, message)
