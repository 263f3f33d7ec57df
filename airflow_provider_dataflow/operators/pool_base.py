"""Base of the operators that change a pool's state and wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.exceptions import PoolFailed, PoolLost, PoolTimedOut
from airflow_provider_dataflow.models.pool import (
    DEAD_STATES,
    GONE_STATES,
    IDLE_STATES,
    STARTING_STATES,
    Pool,
)
from airflow_provider_dataflow.operators.stoppable_resource import StoppableResourceOperator
from airflow_provider_dataflow.triggers.events import PoolEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.pools import PoolClient


class PoolOperator(StoppableResourceOperator[Pool]):
    """Base: sends requests and waits until a pool is in the wanted state."""

    id_argument = "pool_id"
    label = "Pool"
    resource_class = Pool
    event_class = PoolEvent
    idle_states = IDLE_STATES
    starting_states = STARTING_STATES
    gone_states = GONE_STATES
    dead_states = DEAD_STATES
    failed_error = PoolFailed
    timed_out_error = PoolTimedOut
    lost_error = PoolLost

    @property
    def _resources(self) -> PoolClient:
        return self.hook.pools

    @property
    def _trigger_class(self) -> type[Any]:
        from airflow_provider_dataflow.triggers.pool import PoolTrigger

        return PoolTrigger
