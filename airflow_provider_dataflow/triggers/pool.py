"""PoolTrigger: waits in the triggerer for the state of a pool."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.arguments.settings import Setting, state_names
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.pool import Pool, PoolState
from airflow_provider_dataflow.triggers.events import Outcome, PoolEvent
from airflow_provider_dataflow.triggers.resource import ResourceTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient

TARGET_STATES = Setting(state_names, [PoolState.ACTIVE.value])


class PoolTrigger(ResourceTrigger):
    """Waits until a pool is in one of the target states.

    :param pool_id: OCID of the pool.
    :param target_states: lifecycle states to wait for. Default: ``ACTIVE``.
    :param missing_is_deleted: treat a pool that the service does not find as DELETED.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    """

    serialized_fields = (
        *("pool_id", "target_states", "missing_is_deleted"),
        *HOOK_ARGUMENTS,
        *("poll_interval", "deadline", "error_budget"),
    )

    def __init__(
        self,
        pool_id: str,
        target_states: Collection[str] = (PoolState.ACTIVE.value,),
        missing_is_deleted: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id: str = self.read_setting("pool_id", pool_id)
        self.target_states: list[str] = self.read_setting("target_states", target_states, TARGET_STATES)
        self.missing_is_deleted: bool = self.read_setting("missing_is_deleted", missing_is_deleted)

    @property
    def resource_name(self) -> str:
        return f"Pool {self.pool_id}"

    async def poll(self, client: AsyncDataFlowClient) -> Pool:
        try:
            return await client.get_pool(self.pool_id)
        except ServiceError as error:
            if error.status == 404 and self.missing_is_deleted:
                return Pool(self.pool_id, PoolState.DELETED)
            raise

    def is_final(self, state: str) -> bool:
        return state in self.target_states

    def event(self, outcome: Outcome, state: str | None, message: str | None) -> PoolEvent:
        return PoolEvent(outcome, self.pool_id, state, message)
