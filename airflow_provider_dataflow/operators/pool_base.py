"""Base of the operators that change a pool's state and wait for it."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_dataflow.exceptions import PoolFailed, PoolLost, PoolTimedOut, ServiceError
from airflow_provider_dataflow.models.pool import DEAD_STATES, GONE_STATES, STARTING_STATES, Pool, PoolState
from airflow_provider_dataflow.operators.base import WaitingOperator
from airflow_provider_dataflow.triggers.events import Outcome, PoolEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration

#: A cold pool takes up to ten minutes to start.
DEFAULT_TIMEOUT_SECONDS = 30 * 60


class NextWait(NamedTuple):
    """Wait that an operator needs next.

    :param states: that end the wait.
    :param is_last: whether the operator has sent its last request, so that only this wait is left.
    """

    states: Collection[str]
    is_last: bool


class PoolOperator(WaitingOperator):
    """Base: sends requests and waits until a pool is in the wanted state.

    The next request depends on the pool's state alone. So a task continues after a deferral, and a retry
    after a failure, without any record of what was sent before.
    """

    def __init__(self, *, timeout: Duration | None = DEFAULT_TIMEOUT_SECONDS, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)

    @abstractmethod
    def _request_next(self, pool: Pool) -> NextWait | None:
        """Send the request that the pool needs next.

        :return: the wait for its effect; ``None`` if the pool is in the wanted state.
        """

    def _request_until_done(self, pool: Pool, context: Context) -> str:
        """Alternate requests and waits until the pool is in the wanted state. Return its OCID."""
        while True:
            try:
                next_wait = self._request_next(pool)
            except ServiceError as error:
                # Another task or a schedule changed the pool after it was read.
                if error.status != 409:
                    raise
                pool = self._read_again_later(pool, error, context)
                continue
            if next_wait is None or (next_wait.is_last and not self.wait_for_completion):
                return pool.id
            # A pool cannot leave a dead state by itself, so such a state also ends the wait, unless the wait
            # starts in it.
            states = {str(state) for state in (*next_wait.states, *(DEAD_STATES - {pool.state}))}
            # After a delete, an unknown pool is a deleted one. Without, it is an error.
            missing_is_deleted = next_wait.is_last and PoolState.DELETED in next_wait.states
            if self.deferrable:
                self._defer(pool, states, missing_is_deleted, context)
            pool = self._wait(pool, states, missing_is_deleted, context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Resume after the trigger's event."""
        end = PoolEvent.parse(event)
        if end.outcome is not Outcome.REACHED:
            error_class = PoolTimedOut if end.outcome is Outcome.TIMEOUT else PoolLost
            raise error_class(pool_id=end.pool_id, state=end.state, note=end.message)
        self.log.info("Pool %s is %s", end.pool_id, end.state)
        pool = Pool(end.pool_id, str(end.state))
        if pool.state != PoolState.DELETED:
            # With the retries of a wait, so that an outage at this moment does not fail the task.
            pool = self._wait(pool, None, False, context)
        return self._request_until_done(pool, context)

    def _defer(self, pool: Pool, states: Collection[str], missing_is_deleted: bool, context: Context) -> None:
        from airflow_provider_dataflow.triggers.pool import PoolTrigger

        self.defer(
            trigger=PoolTrigger(
                pool_id=pool.id,
                target_states=states,
                missing_is_deleted=missing_is_deleted,
                **self._trigger_arguments(context),
            ),
            method_name=self.execute_complete.__name__,
            timeout=self._deferral_timeout(context),
        )

    def _wait(
        self, pool: Pool, states: Collection[str] | None, missing_is_deleted: bool, context: Context
    ) -> Pool:
        """Poll until the pool is in one of the states or, for ``None``, until it can be read at all."""
        from airflow_provider_dataflow.client.wait import ErrorBudgetExceeded, Wait, WaitTimedOut

        def poll() -> Pool:
            try:
                return self.hook.pools.get(pool.id)
            except ServiceError as error:
                if error.status == 404 and missing_is_deleted:
                    return Pool(pool.id, PoolState.DELETED)
                raise

        wait = Wait(
            subject=f"Pool {pool.id}",
            is_over=lambda state: states is None or state in states,
            poll_interval=self.poll_interval,
            log=self.log,
            deadline=self._deadline(context),
            error_budget=self.error_budget,
            state=pool.state,
        )
        try:
            return wait.in_worker(poll, self._raise_if_killed)
        except WaitTimedOut:
            raise PoolTimedOut(pool_id=pool.id, state=wait.state) from None
        except ErrorBudgetExceeded as error:
            raise PoolLost(pool_id=pool.id, state=wait.state, note=str(error)) from None

    def _read_again_later(self, pool: Pool, error: ServiceError, context: Context) -> Pool:
        """Read the pool again after a refused request, once it has had time to change."""
        from airflow_provider_dataflow.client.wait import sleep

        self.log.warning(
            "Pool %s: the request was refused; reading the pool again in %.0f s: %s",
            pool.id,
            self.poll_interval,
            error,
        )
        deadline = self._deadline(context)
        if deadline is not None and time.time() >= deadline:
            raise PoolTimedOut(pool_id=pool.id, state=pool.state, note=str(error)) from None
        sleep(self.poll_interval, self._raise_if_killed)
        return self._wait(pool, None, False, context)

    def _send(self, action: str, request: Callable[[str], None], pool: Pool) -> None:
        request(pool.id)
        self.log.info("Pool %s (%s) is %s: %s requested", pool.id, pool.display_name, pool.state, action)

    def _start(self, pool: Pool) -> NextWait | None:
        """Send StartPool if the pool needs it."""
        if pool.state == PoolState.ACTIVE:
            self.log.info("Pool %s (%s) is ACTIVE", pool.id, pool.display_name)
            return None
        if pool.state in DEAD_STATES | GONE_STATES:
            raise pool_failed(pool, "it cannot be started")
        if pool.state == PoolState.STOPPED:
            self._send("start", self.hook.pools.start, pool)
            return NextWait({PoolState.ACTIVE}, is_last=True)
        return NextWait({PoolState.ACTIVE, PoolState.STOPPED}, is_last=pool.state in STARTING_STATES)


def pool_failed(pool: Pool, note: str) -> PoolFailed:
    """Return the error of a pool that cannot get into the wanted state."""
    return PoolFailed(pool_id=pool.id, state=pool.state, lifecycle_details=pool.lifecycle_details, note=note)
