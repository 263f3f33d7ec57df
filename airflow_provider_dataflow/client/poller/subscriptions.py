"""Who waits for what."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.poller.faults import as_fault
from airflow_provider_dataflow.exceptions import RunLost, ServiceError
from airflow_provider_dataflow.models.run import LifecycleState, Run, has_reached
from airflow_provider_dataflow.polling import Durations, ErrorBudget, interval

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.poller.compartment import Compartment

log = logging.getLogger(__name__)

#: What ListRuns is asked for. A run in another state is on its way out, and asked for by itself.
LISTED_STATES = (LifecycleState.ACCEPTED, LifecycleState.IN_PROGRESS)


class Subscription:
    """One wait for one run."""

    __slots__ = (
        "budget",
        "context",
        "done",
        "last_state",
        "on_change",
        "poll_interval",
        "run_id",
        "states",
        "watch",
    )

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
        self.watch: Watch | None = None
        # What the subscriber logs belongs into its own task's log, not into that of whoever came first.
        self.context = contextvars.copy_context() if on_change else None

    def still(self) -> None:
        """The service answered, and nothing has changed."""
        self.budget.success()

    def deliver(self, run: Run) -> None:
        self.budget.success()
        if run.state != self.last_state:
            self.last_state = _one_of_many(run.state)
            if self.on_change and self.context:
                try:
                    self.context.run(self.on_change, run)
                except BaseException as error:
                    log.error(
                        "Run %s is %s, but its subscriber's callback fails",
                        self.run_id,
                        run.state,
                        exc_info=as_fault(error),
                    )
        if (has_reached(run.state, self.states) or run.is_terminal) and not self.done.done():
            self.done.set_result(run)

    def fail(self, error: ServiceError, now: float) -> None:
        if self.budget.failure(error, now):
            self._lose(str(error), error.opc_request_id)
        elif (error.retry_after or 0.0) > (left := self.budget.left(error, now)):
            # The service is not asked again before the budget is used up.
            asyncio.get_running_loop().call_later(left, self._fail_if_still_failing, error)

    def _fail_if_still_failing(self, error: ServiceError) -> None:
        if self.budget.failing and not self.done.done():
            # Anew, since another error may have come meanwhile.
            self.fail(error, asyncio.get_running_loop().time())

    def end(self, error: BaseException) -> None:
        """Polling this run has raised an error, which is none of the service's."""
        self._lose(f"polling run {self.run_id} failed with {type(error).__name__}: {error}")

    def _lose(self, note: str, opc_request_id: str | None = None) -> None:
        if not self.done.done():
            self.done.set_exception(
                RunLost(run_id=self.run_id, state=self.last_state, opc_request_id=opc_request_id, note=note)
            )


class Watch:
    """One run on the schedule, with everybody who waits for it."""

    __slots__ = (
        "application_id",
        "asking",
        "compartment",
        "created",
        "due",
        "pause",
        "run_id",
        "state",
        "subscriptions",
    )

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.compartment: Compartment | None = None
        self.application_id: str | None = None
        self.subscriptions: list[Subscription] = []
        self.state: str | None = None
        #: In seconds since the epoch.
        self.created: float | None = None
        #: When to ask for this one by itself; never, while its compartment is listed.
        self.due = math.inf
        self.asking = False
        #: Seconds for which the service wants to be left alone about it.
        self.pause = 0.0

    @property
    def is_listable(self) -> bool:
        return self.state is None or self.state in LISTED_STATES

    @property
    def is_waited_for(self) -> bool:
        return any(not subscription.done.done() for subscription in self.subscriptions)

    def interval(self, now: float, durations: Durations) -> float:
        """Seconds until it is worth asking for again.

        :param now: in seconds since the epoch.
        """
        subscriptions = self.subscriptions
        least = subscriptions[0].poll_interval
        if len(subscriptions) > 1:
            least = min(subscription.poll_interval for subscription in subscriptions)
        if self.state != LifecycleState.IN_PROGRESS or self.created is None:
            return least
        return interval(least, self.state, now - self.created, durations.usual(self.application_id))

    def __repr__(self) -> str:
        return f"run {self.run_id}"

    def still(self) -> None:
        for subscription in self.subscriptions:
            subscription.still()

    def deliver(self, run: Run) -> None:
        self.state = _one_of_many(run.state)
        self.application_id = _one_of_many(run.application_id) if run.application_id else None
        self.created = run.time_created.timestamp() if run.time_created else None
        self._each(lambda subscription: subscription.deliver(run))

    def fail(self, error: ServiceError, now: float) -> None:
        self._each(lambda subscription: subscription.fail(error, now))

    def end(self, error: BaseException) -> None:
        """End all subscriptions: polling this run has raised an error."""
        for subscription in list(self.subscriptions):
            subscription.end(error)

    def _each(self, tell: Callable[[Subscription], None]) -> None:
        """Tell every subscription; one that cannot be told ends, and no other does."""
        for subscription in list(self.subscriptions):
            try:
                tell(subscription)
            except BaseException as error:
                log.exception("A subscription of run %s ends with an error", self.run_id)
                subscription.end(as_fault(error))


def _one_of_many(text: str) -> str:
    """Thousands of runs share a state and an application; each answer brings a copy."""
    return sys.intern(str(text))
