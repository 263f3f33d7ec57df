"""Subscriptions of triggers to runs, and the runs that are polled for them."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import sys
from collections.abc import Callable, Collection

from airflow_provider_dataflow.client.poller.job_errors import job_error
from airflow_provider_dataflow.client.poller.poll_interval import next_interval
from airflow_provider_dataflow.client.poller.run_durations import DurationHistory
from airflow_provider_dataflow.exceptions import RunLost, ServiceError
from airflow_provider_dataflow.models.run import LifecycleState, Run, has_reached
from airflow_provider_dataflow.polling import ErrorBudget

log = logging.getLogger(__name__)

#: States for which ListRuns is called. A run in another state is about to end, and is polled by GetRun.
LISTED_STATES = (LifecycleState.ACCEPTED, LifecycleState.IN_PROGRESS)


class Subscription:
    """A trigger's wait for one run; :attr:`done` is its future."""

    __slots__ = ("budget", "context", "done", "last_state", "on_change", "poll_interval", "run_id", "states")

    def __init__(
        self,
        run_id: str,
        states: Collection[str],
        poll_interval: float,
        budget: ErrorBudget,
        on_change: Callable[[Run], None] | None,
        done: asyncio.Future[Run],
        last_state: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.states = states
        self.poll_interval = poll_interval
        self.budget = budget
        self.on_change = on_change
        self.done = done
        self.last_state = last_state
        # The callback logs to the task log of its own trigger, which the context selects.
        self.context = contextvars.copy_context() if on_change else None

    def unchanged(self) -> None:
        """Reset the error budget: the service responded, and the run's state is the same."""
        self.budget.success()

    def update(self, run: Run) -> None:
        """Report a change of state, and finish if the run is in a target state or has ended."""
        self.budget.success()
        if run.state != self.last_state:
            self.last_state = _interned(run.state)
            if self.on_change and self.context:
                try:
                    self.context.run(self.on_change, run)
                except BaseException as error:
                    log.error(
                        "Run %s is %s, but the subscriber's callback raised an error; polling continues",
                        self.run_id,
                        run.state,
                        exc_info=job_error(error),
                    )
        if (has_reached(run.state, self.states) or run.is_terminal) and not self.done.done():
            self.done.set_result(run)

    def fail(self, error: ServiceError, now: float) -> None:
        """Count an error of the service; give up when the error budget is used up."""
        if self.budget.failure(error, now):
            self._lose(str(error), error.opc_request_id)
        elif (error.retry_after or 0.0) > (left := self.budget.left(error, now)):
            # The budget ends before the next request is allowed.
            asyncio.get_running_loop().call_later(left, self._fail_if_still_failing, error)

    def _fail_if_still_failing(self, error: ServiceError) -> None:
        if self.budget.failing and not self.done.done():
            # Another error may have come since, with a longer budget.
            self.fail(error, asyncio.get_running_loop().time())

    def abort(self, error: BaseException) -> None:
        """Give up because polling the run raised an internal error."""
        self._lose(f"polling run {self.run_id} failed with {type(error).__name__}: {error}")

    def _lose(self, note: str, opc_request_id: str | None = None) -> None:
        if not self.done.done():
            self.done.set_exception(
                RunLost(run_id=self.run_id, state=self.last_state, opc_request_id=opc_request_id, note=note)
            )


class PolledRun:
    """Job that polls one run, with all its subscriptions."""

    __slots__ = (
        "application_id",
        "compartment_id",
        "created",
        "due",
        "in_progress",
        "min_pause",
        "run_id",
        "state",
        "subscriptions",
    )

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        #: Set by the registry only.
        self.compartment_id: str | None = None
        self.application_id: str | None = None
        self.subscriptions: list[Subscription] = []
        self.state: str | None = None
        #: In seconds since 1970.
        self.created: float | None = None
        #: Time of the next GetRun; infinite while the compartment is listed.
        self.due = math.inf
        self.in_progress = False
        #: Seconds before the next poll, from the last ``Retry-After``.
        self.min_pause = 0.0

    def __repr__(self) -> str:
        return f"run {self.run_id}"

    @property
    def is_listable(self) -> bool:
        """True if ListRuns can show the run."""
        return self.state is None or self.state in LISTED_STATES

    @property
    def is_awaited(self) -> bool:
        """True if a subscription is not done yet."""
        return any(not subscription.done.done() for subscription in self.subscriptions)

    def interval(self, now: float, durations: DurationHistory) -> float:
        """Return the seconds until the next poll.

        :param now: in seconds since 1970.
        """
        subscriptions = self.subscriptions
        shortest = subscriptions[0].poll_interval
        if len(subscriptions) > 1:
            shortest = min(subscription.poll_interval for subscription in subscriptions)
        if self.state != LifecycleState.IN_PROGRESS or self.created is None:
            return shortest
        return next_interval(shortest, self.state, now - self.created, durations.usual(self.application_id))

    def unchanged(self) -> None:
        for subscription in self.subscriptions:
            subscription.unchanged()

    def update(self, run: Run) -> None:
        self.state = _interned(run.state)
        self.application_id = _interned(run.application_id) if run.application_id else None
        self.created = run.time_created.timestamp() if run.time_created else None
        self._for_each(lambda subscription: subscription.update(run))

    def fail(self, error: ServiceError, now: float) -> None:
        self._for_each(lambda subscription: subscription.fail(error, now))

    def abort(self, error: BaseException) -> None:
        """Abort all subscriptions because polling this run raised an internal error."""
        for subscription in list(self.subscriptions):
            subscription.abort(error)

    def _for_each(self, notify: Callable[[Subscription], None]) -> None:
        """Notify every subscription. One that raises an error is aborted; the others are still notified."""
        for subscription in list(self.subscriptions):
            try:
                notify(subscription)
            except BaseException as error:
                log.exception("Run %s: a subscription ends with an error; others continue", self.run_id)
                subscription.abort(job_error(error))


def _interned(text: str) -> str:
    """Return the one copy of a string that thousands of runs share, such as a state."""
    return sys.intern(str(text))
