"""Waits for a state of a run, pool or statement, in a worker and in the triggerer.

For runs, the triggerer uses the poller instead, which polls many of them with one request.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from logging import Logger
from typing import Any, Protocol, TypeVar

from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import DataFlowError, RunLost, RunTimedOut, ServiceError
from airflow_provider_dataflow.models.run import Run, has_reached, is_terminal
from airflow_provider_dataflow.polling import (
    DEFAULT_ERROR_BUDGET,
    LAST_POLL_SECONDS,
    ErrorBudget,
    Heartbeat,
    jittered,
)


class HasState(Protocol):
    """Run, pool or statement."""

    @property
    def state(self) -> str: ...


R = TypeVar("R", bound=HasState)


class WaitTimedOut(DataFlowError):
    """The deadline of a wait has passed."""


class ErrorBudgetExceeded(DataFlowError):
    """The service failed for longer than the error budget of a wait.

    :param error: the last error.
    """

    def __init__(self, error: ServiceError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Wait:
    """Wait for a state: polls, retries errors within the error budget, and logs changes of state.

    :param subject: name of the resource in log lines, for example ``Pool ocid1...``.
    :param is_over: takes the state; returns whether it ends the wait.
    :param poll_interval: maximum seconds between two polls.
    :param log: the task's logger.
    :param deadline: seconds since the epoch at which to give up. Default: never. One more poll is sent at
        the deadline, and the state that it returns still counts.
    :param error_budget: seconds for which service errors are retried.
    :param state: last known state, which is not logged as a change. Updated with each poll.
    """

    subject: str
    is_over: Callable[[str], bool]
    poll_interval: float
    log: Logger | Any
    deadline: float | None = None
    error_budget: float = DEFAULT_ERROR_BUDGET
    state: str | None = None
    _budget: ErrorBudget = field(init=False)
    _heartbeat: Heartbeat = field(init=False)
    _last_error: ServiceError | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._budget = ErrorBudget(self.error_budget)
        self._heartbeat = Heartbeat(time.monotonic())

    def in_worker(
        self,
        read: Callable[[], R],
        raise_if_killed: Callable[[], None],
        after_poll: Callable[[], None] | None = None,
    ) -> R:
        """Poll until the wait is over, and return the resource. Blocks.

        :param read: returns the resource.
        :param raise_if_killed: called every second; raises if the task was killed.
        :param after_poll: called after each poll that does not end the wait.
        :raises WaitTimedOut: the deadline has passed.
        :raises ErrorBudgetExceeded: the service failed for longer than the error budget.
        """
        while True:
            raise_if_killed()
            try:
                resource = read()
            except ServiceError as error:
                self.poll_failed(error)
            else:
                if self.poll_succeeded(resource):
                    return resource
            self._raise_if_timed_out()
            if after_poll is not None:
                after_poll()
            sleep(self._pause(), raise_if_killed)

    async def in_triggerer(self, read: Callable[[], Awaitable[R]]) -> R:
        """Poll until the wait is over, and return the resource. Raises the errors of :meth:`in_worker`."""
        while True:
            # The shared rate limit may delay the request past the deadline.
            limit = asyncio.timeout(self._poll_timeout())
            try:
                async with limit:
                    resource = await read()
            except TimeoutError:
                if not limit.expired():
                    raise
                self._raise_if_budget_exceeded()
                raise self._timed_out() from None
            except ServiceError as error:
                self.poll_failed(error)
            else:
                if self.poll_succeeded(resource):
                    return resource
            self._raise_if_timed_out()
            await asyncio.sleep(self._pause())

    def poll_succeeded(self, resource: HasState) -> bool:
        """Record a state, and log it if it has changed. Return whether it ends the wait."""
        if self._budget.success():
            self.log.info("%s: its state can be read again", self.subject)
        if resource.state != self.state:
            self.state = resource.state
            self.log.info("%s is %s", self.subject, self.state)
        return self.is_over(self.state)

    def poll_failed(self, error: ServiceError) -> None:
        """Record an error, and log it if the poll before had succeeded.

        :raises ErrorBudgetExceeded: the service failed for longer than the error budget.
        """
        is_first = not self._budget.failing
        self._last_error = error
        self._budget.failure(error, time.monotonic())
        self._raise_if_budget_exceeded()
        if is_first:
            seconds = self._budget.left(error, time.monotonic())
            self.log.warning(
                "%s: cannot read its state; retrying for up to %.0f s: %s", self.subject, seconds, error
            )

    def _raise_if_budget_exceeded(self) -> None:
        error = self._last_error
        if self._budget.failing and error and self._budget.left(error, time.monotonic()) <= 0:
            raise ErrorBudgetExceeded(error) from None

    def _raise_if_timed_out(self) -> None:
        if self.deadline is not None and time.time() >= self.deadline:
            raise self._timed_out()
        if self._heartbeat.is_due(time.monotonic()):
            state = f"is still {self.state}" if self.state else "has not been read yet"
            self.log.info("%s %s", self.subject, state)

    def _timed_out(self) -> WaitTimedOut:
        state = f"is {self.state}" if self.state else "has not been read yet"
        return WaitTimedOut(f"{self.subject} {state}")

    def _poll_timeout(self) -> float | None:
        """Seconds until the deadline or the end of the error budget; at least ``LAST_POLL_SECONDS``."""
        left = math.inf if self.deadline is None else self.deadline - time.time()
        if self._budget.failing and self._last_error:
            left = min(left, self._budget.left(self._last_error, time.monotonic()))
        return None if left == math.inf else max(left, LAST_POLL_SECONDS)

    def _pause(self) -> float:
        """Seconds until the next poll, which is not later than the deadline."""
        pause = jittered(self.poll_interval)
        return pause if self.deadline is None else min(pause, max(self.deadline - time.time(), 0))


def wait_for_run(
    client: DataFlowClient,
    run_id: str,
    *,
    states: Collection[str],
    poll_interval: float,
    raise_if_killed: Callable[[], None],
    log: Logger | Any,
    error_budget: float = DEFAULT_ERROR_BUDGET,
    deadline: float | None = None,
    last_state: str | None = None,
    after_poll: Callable[[], None] | None = None,
) -> Run:
    """Poll a run until it is in one of the states or has ended. Blocks.

    :param states: target states.
    :param last_state: last known state, which is not logged as a change.
    :param raise_if_killed: see :meth:`Wait.in_worker`, also for ``after_poll``; for the others, see
        :class:`Wait`.
    :raises RunLost: the service failed for longer than the error budget.
    :raises RunTimedOut: the deadline has passed.
    """
    wait = Wait(
        subject=f"Run {run_id}",
        is_over=lambda state: has_reached(state, states) or is_terminal(state),
        poll_interval=poll_interval,
        log=log,
        deadline=deadline,
        error_budget=error_budget,
        state=last_state,
    )
    try:
        return wait.in_worker(lambda: client.get_run(run_id), raise_if_killed, after_poll)
    except WaitTimedOut:
        raise RunTimedOut(run_id=run_id, state=wait.state) from None
    except ErrorBudgetExceeded as caught:
        raise RunLost(
            run_id=run_id,
            state=wait.state,
            opc_request_id=caught.error.opc_request_id,
            note=str(caught),
        ) from None


def sleep(seconds: float, raise_if_killed: Callable[[], None]) -> None:
    """Sleep, and call ``raise_if_killed`` every second.

    A signal handler that only sets a flag does not end ``time.sleep``.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        raise_if_killed()
