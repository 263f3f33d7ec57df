"""Subscriptions of triggers to runs, the runs that are polled for them, and their compartments."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import sys
from collections.abc import Callable, Collection

from airflow_provider_dataflow.client.poller.event_loop import job_error
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
        "compartment",
        "created",
        "due",
        "failing",
        "in_progress",
        "missed_at",
        "run_id",
        "state",
        "subscriptions",
    )

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        #: Set by the registry only.
        self.compartment: Compartment | None = None
        self.subscriptions: list[Subscription] = []
        self.state: str | None = None
        #: In seconds since 1970.
        self.created: float | None = None
        #: Time of the next GetRun; infinite while the compartment is listed.
        self.due = math.inf
        self.in_progress = False
        #: True after an error, until the next response.
        self.failing = False
        #: Begin of the poll round that did not find the run, until a GetRun has confirmed its state.
        self.missed_at: float | None = None

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

    def interval(self) -> float:
        """Return the shortest poll interval of the subscriptions; infinite without any."""
        return min((subscription.poll_interval for subscription in self.subscriptions), default=math.inf)

    def unchanged(self) -> None:
        if self.failing:
            self.failing = False
            for subscription in self.subscriptions:
                subscription.budget.success()

    def update(self, run: Run) -> None:
        self.state = _interned(run.state)
        self.created = run.time_created.timestamp() if run.time_created else None
        self.failing = False
        self._for_each(lambda subscription: subscription.update(run))

    def fail(self, error: ServiceError, now: float) -> None:
        self.failing = True
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


class Compartment:
    """Job that polls the runs of a compartment together, by ListRuns, while there are enough of them.

    :param id: OCID.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.runs: dict[str, PolledRun] = {}
        #: Time of the next poll round; infinite while each run is polled by GetRun.
        self.due = math.inf
        self.in_progress = False
        #: True while its runs are polled by ListRuns, False while each is polled by GetRun.
        self.is_listed = False
        #: Poll rounds in a row in which ListRuns has failed.
        self.failed_rounds = 0
        #: ListRuns is not used before this time of the loop's clock.
        self.list_not_before = -math.inf
        #: Seconds from the begin of a round until the last of its missing runs was confirmed by GetRun.
        self.confirm_seconds = 0.0

    def __repr__(self) -> str:
        return f"the runs of compartment {self.id}"

    def polls(self, run: PolledRun) -> bool:
        """Return whether a poll round is scheduled or in progress that lists the run."""
        return self.is_listed and run.is_listable and (self.in_progress or self.due < math.inf)

    @property
    def listable_runs(self) -> list[PolledRun]:
        return [run for run in self.runs.values() if run.is_listable and run.subscriptions]


class RunRegistry:
    """Keeps one :class:`PolledRun` per run, whatever its number of subscriptions, grouped by compartment."""

    def __init__(self) -> None:
        self.runs: dict[str, PolledRun] = {}
        self.compartments: dict[str, Compartment] = {}

    def add(self, subscription: Subscription, compartment_id: str | None) -> PolledRun:
        """Add a subscription, and return the run that it waits for.

        :param compartment_id: of the run, if it is known.
        """
        run = self.runs.get(subscription.run_id)
        if run is None:
            run = self.runs[subscription.run_id] = PolledRun(subscription.run_id)
            self.assign(run, compartment_id)
        elif run.is_listable:
            # The new subscription has not seen this state, and ListRuns reports a known state as unchanged.
            run.state = None
        run.subscriptions.append(subscription)
        return run

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription, and its run when it was the last one."""
        run = self.runs.get(subscription.run_id)
        if run and subscription in run.subscriptions:
            run.subscriptions.remove(subscription)
            if not run.subscriptions:
                run.due = math.inf
                del self.runs[run.run_id]
                self._leave_compartment(run)

    def assign(self, run: PolledRun, compartment_id: str | None) -> None:
        """Put the run into its compartment. A run can be moved to another one."""
        if not compartment_id or (run.compartment and run.compartment.id == compartment_id):
            return
        if self.runs.get(run.run_id) is not run:
            return  # its last subscriber left while it was polled
        self._leave_compartment(run)
        if compartment_id not in self.compartments:
            self.compartments[compartment_id] = Compartment(compartment_id)
        run.compartment = self.compartments[compartment_id]
        run.compartment.runs[run.run_id] = run

    @property
    def subscriptions(self) -> list[Subscription]:
        return [subscription for run in self.runs.values() for subscription in run.subscriptions]

    def _leave_compartment(self, run: PolledRun) -> None:
        compartment, run.compartment = run.compartment, None
        if compartment is not None:
            del compartment.runs[run.run_id]
            if not compartment.runs:
                compartment.due = math.inf
                del self.compartments[compartment.id]


def _interned(text: str) -> str:
    """Return the one copy of a string that thousands of runs share, such as a state."""
    return sys.intern(str(text))
