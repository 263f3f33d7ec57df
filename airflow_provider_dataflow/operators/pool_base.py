"""Base of the operators that change a pool's state and wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.exceptions import PoolFailed, PoolLost, PoolTimedOut
from airflow_provider_dataflow.models.pool import DEAD_STATES, GONE_STATES, STARTING_STATES, Pool, PoolState
from airflow_provider_dataflow.operators.stoppable_resource import NextWait, StoppableResourceOperator
from airflow_provider_dataflow.triggers.events import PoolEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.pools import PoolClient


class PoolOperator(StoppableResourceOperator[Pool]):
    """Base: sends requests and waits until a pool is in the wanted state."""

    id_argument = "pool_id"
    label = "Pool"
    resource_class = Pool
    event_class = PoolEvent
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

    def _start(self, pool: Pool) -> NextWait | None:
        """Send StartPool if the pool needs it."""
        if pool.state == PoolState.ACTIVE:
            self.log.info("Pool %s (%s) is ACTIVE", pool.id, pool.display_name)
            return None
        if pool.state in DEAD_STATES | GONE_STATES:
            raise self._failed(pool, "it cannot be started")
        if pool.state == PoolState.STOPPED:
            self._send("start", self.hook.pools.start, pool)
            return NextWait({PoolState.ACTIVE}, is_last=True)
        return NextWait({PoolState.ACTIVE, PoolState.STOPPED}, is_last=pool.state in STARTING_STATES)
