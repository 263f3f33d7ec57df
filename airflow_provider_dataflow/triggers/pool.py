"""PoolTrigger: waits in the triggerer for the state of a pool."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.models.pool import Pool, PoolState
from airflow_provider_dataflow.triggers.events import Outcome, PoolEvent
from airflow_provider_dataflow.triggers.stoppable_resource import SERIALIZED_FIELDS, StoppableResourceTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient


class PoolTrigger(StoppableResourceTrigger):
    """Waits until a pool is in one of the target states.

    :param pool_id: OCID of the pool.
    :param target_states: lifecycle states to wait for. Default: ``ACTIVE``.
    :param missing_is_deleted: treat a pool that the service does not find as DELETED.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    """

    serialized_fields = ("pool_id", *SERIALIZED_FIELDS)
    resource_class = Pool

    def __init__(
        self,
        pool_id: str,
        target_states: Collection[str] = (PoolState.ACTIVE.value,),
        missing_is_deleted: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_states=target_states, missing_is_deleted=missing_is_deleted, **kwargs)
        self.pool_id: str = self.read_setting("pool_id", pool_id)

    @property
    def resource_id(self) -> str:
        return self.pool_id

    @property
    def resource_name(self) -> str:
        return f"Pool {self.pool_id}"

    async def read(self, client: AsyncDataFlowClient) -> Pool:
        return await client.get_pool(self.pool_id)

    def event(self, outcome: Outcome, state: str | None, message: str | None) -> PoolEvent:
        return PoolEvent(outcome, self.pool_id, state, message)
