"""How an operator brings a pool to where it is wanted, whatever state it is in."""

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

#: Seconds. A cold pool takes up to ten minutes to start.
DEFAULT_TIMEOUT = 30 * 60


class Step(NamedTuple):
    """What an operator waits for next.

    :param states: that end the wait.
    :param is_last: whether all that the task is for has been asked for by now.
    """

    states: Collection[str]
    is_last: bool


class PoolOperator(WaitingOperator):
    """Base: brings a pool, step by step, to where it is wanted, whatever state it is in.

    The steps are found from the pool's state alone: a task goes on after a deferral, and a retry after a
    failure, where the one before has ended.
    """

    def __init__(self, *, timeout: Duration | None = DEFAULT_TIMEOUT, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)

    @abstractmethod
    def _next(self, pool: Pool) -> Step | None:
        """Ask for what the pool needs next.

        :return: what to wait for then; ``None`` if the pool is where it is wanted.
        """

    def _bring_about(self, pool: Pool, context: Context) -> str:
        while True:
            try:
                step = self._next(pool)
            except ServiceError as error:
                # Another task, or a schedule, was faster.
                if error.status != 409:
                    raise
                pool = self._look_again(pool, error, context)
                continue
            if step is None or (step.is_last and not self.wait_for_completion):
                return pool.id
            # A pool that is where none is expected to leave from ends the wait, unless it is the start of it.
            states = {str(state) for state in (*step.states, *(DEAD_STATES - {pool.state}))}
            # Without the delete, an unknown pool is an error.
            deleting = step.is_last and PoolState.DELETED in step.states
            if self.deferrable:
                from airflow_provider_dataflow.triggers.pool import PoolTrigger

                self.defer(
                    trigger=PoolTrigger(
                        pool_id=pool.id,
                        target_states=states,
                        missing_is_deleted=deleting,
                        **self._trigger_arguments(context),
                    ),
                    method_name=self.execute_complete.__name__,
                    timeout=self._backstop(context),
                )
            pool = self._wait(pool, states, deleting, context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Go on where the trigger ended."""
        end = PoolEvent.parse(event)
        if end.outcome is not Outcome.REACHED:
            kind = PoolTimedOut if end.outcome is Outcome.TIMEOUT else PoolLost
            raise kind(pool_id=end.pool_id, state=end.state, note=end.message)
        self.log.info("Pool %s is %s", end.pool_id, end.state)
        pool = Pool(end.pool_id, str(end.state))
        if pool.state != PoolState.DELETED:
            # Also with the patience of a wait: an outage now is no reason to fail.
            pool = self._wait(pool, None, False, context)
        return self._bring_about(pool, context)

    def _wait(self, pool: Pool, states: Collection[str] | None, deleting: bool, context: Context) -> Pool:
        """Look until the pool is in one of the states, or for ``None``, can be seen at all."""
        from airflow_provider_dataflow.client.wait_for_resource import OutOfSight, OutOfTime, Watch

        def look() -> Pool:
            try:
                return self.hook.pools.get(pool.id)
            except ServiceError as error:
                if error.status == 404 and deleting:
                    return Pool(pool.id, PoolState.DELETED)
                raise

        watch = Watch(
            about=f"Pool {pool.id}",
            is_over=lambda state: states is None or state in states,
            poll_interval=self.poll_interval,
            log=self.log,
            until=self._deadline(context),
            error_budget=self.error_budget,
            state=pool.state,
        )
        try:
            return watch.in_worker(look, self._raise_if_killed)
        except OutOfTime:
            raise PoolTimedOut(pool_id=pool.id, state=watch.state) from None
        except OutOfSight as error:
            raise PoolLost(pool_id=pool.id, state=watch.state, note=str(error)) from None

    def _look_again(self, pool: Pool, error: ServiceError, context: Context) -> Pool:
        """After a refusal, when the pool has had time to change."""
        from airflow_provider_dataflow.client.wait import nap

        self.log.warning("Pool %s is looked at again: %s", pool.id, error)
        deadline = self._deadline(context)
        if deadline is not None and time.time() >= deadline:
            raise PoolTimedOut(pool_id=pool.id, state=pool.state, note=str(error)) from None
        nap(self.poll_interval, self._raise_if_killed)
        return self._wait(pool, None, False, context)

    def _ask(self, what: str, ask: Callable[[str], None], pool: Pool) -> None:
        ask(pool.id)
        self.log.info("Pool %s (%s) is %s: %s requested", pool.id, pool.display_name, pool.state, what)

    def _start(self, pool: Pool) -> Step | None:
        if pool.state == PoolState.ACTIVE:
            self.log.info("Pool %s (%s) is ACTIVE", pool.id, pool.display_name)
            return None
        if pool.state in DEAD_STATES | GONE_STATES:
            raise failed(pool, "it cannot be started")
        if pool.state == PoolState.STOPPED:
            self._ask("start", self.hook.pools.start, pool)
            return Step({PoolState.ACTIVE}, is_last=True)
        return Step({PoolState.ACTIVE, PoolState.STOPPED}, is_last=pool.state in STARTING_STATES)


def failed(pool: Pool, note: str) -> PoolFailed:
    return PoolFailed(pool_id=pool.id, state=pool.state, lifecycle_details=pool.lifecycle_details, note=note)
