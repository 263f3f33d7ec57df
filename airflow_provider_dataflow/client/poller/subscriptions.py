"""Subscriptions of triggers to runs, the runs that are polled for them, and their compartments."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from airflow_provider_dataflow.client.poller.event_loop import job_error
from airflow_provider_dataflow.client.poller.scheduler import Job
from airflow_provider_dataflow.exceptions import RunLost, ServiceError
from airflow_provider_dataflow.models.run import LifecycleState, Run, has_reached
from airflow_provider_dataflow.polling import MIN_LIST_RETRY_SECONDS, ErrorBudget

log = logging.getLogger(__name__)

#: States for which ListRuns is called. A run in another state is about to end, and is polled by GetRun.
LISTED_STATES = (LifecycleState.ACCEPTED, LifecycleState.IN_PROGRESS)


@dataclass(slots=True, eq=False)
class Subscription:
    """A trigger's wait for one run. There can be ten thousand, so it has few objects.

    :param error_budget: seconds for which errors of the service are tolerated.
    :ivar done: future of the run in a target state, or at its end.
    :ivar errors: the error budget, from an error until the next response.
    :ivar context: of the callback, which logs to the task log of its own trigger.
    """

    run_id: str
    states: Collection[str]
    poll_interval: float
    error_budget: float
    on_change: Callable[[Run], None] | None
    last_state: str | None = None
    done: asyncio.Future[Run] = field(init=False)
    errors: ErrorBudget | None = field(init=False, default=None)
    context: contextvars.Context | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        if self.on_change:
            self.context = contextvars.copy_context()

    def update(self, run: Run) -> None:
        """Report a change of state, and finish if the run is in a target state or has ended."""
        self.errors = None
        if run.state != self.last_state:
            self.last_state = _interned(run.state)
            if self.on_change and self.context is not None:
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
        if self.errors is None:
            self.errors = ErrorBudget(self.error_budget)
        if self.errors.failure(error, now):
            self.lose(str(error), error.opc_request_id)
        elif (error.retry_after or 0.0) > (left := self.errors.left(error, now)):
            # The budget ends before the next request is allowed.
            asyncio.get_running_loop().call_later(left, self._fail_if_still_failing, error)

    def _fail_if_still_failing(self, error: ServiceError) -> None:
        if self.errors and not self.done.done():
            # Another error may have come since, with a longer budget.
            self.fail(error, asyncio.get_running_loop().time())

    def lose(self, note: str, opc_request_id: str | None = None) -> None:
        """Give up."""
        if not self.done.done():
            self.done.set_exception(
                RunLost(run_id=self.run_id, state=self.last_state, opc_request_id=opc_request_id, note=note)
            )


@dataclass(slots=True, eq=False, repr=False)
class PolledRun(Job):
    """Job that polls one run, with all its subscriptions. It is idle while its compartment is listed.

    :ivar compartment: set by the registry only.
    :ivar created: in seconds since 1970.
    """

    run_id: str
    compartment: Compartment | None = None
    subscriptions: tuple[Subscription, ...] = ()
    state: str | None = None
    created: float | None = None

    def __repr__(self) -> str:
        return f"run {self.run_id}"

    @property
    def is_listable(self) -> bool:
        """True if ListRuns can show the run."""
        return self.state is None or self.state in LISTED_STATES

    @property
    def is_listed(self) -> bool:
        """True if the run is polled together with its compartment."""
        return self.compartment is not None and self.compartment.is_listed and self.is_listable

    @property
    def is_awaited(self) -> bool:
        """True if a subscription is not done yet."""
        return any(not subscription.done.done() for subscription in self.subscriptions)

    def interval(self) -> float:
        """Return the shortest poll interval of the subscriptions; infinite without any."""
        return min((subscription.poll_interval for subscription in self.subscriptions), default=math.inf)

    def unchanged(self) -> None:
        for subscription in self.subscriptions:
            subscription.errors = None

    def update(self, run: Run) -> None:
        self.state = _interned(run.state)
        self.created = run.time_created.timestamp() if run.time_created else None
        self._for_each(lambda subscription: subscription.update(run))

    def fail(self, error: ServiceError, now: float) -> None:
        self._for_each(lambda subscription: subscription.fail(error, now))

    def abort(self, error: BaseException) -> None:
        """Give up all subscriptions because polling this run raised an internal error."""
        for subscription in self.subscriptions:
            subscription.lose(_internal_error(self.run_id, error))

    def _for_each(self, notify: Callable[[Subscription], None]) -> None:
        """Notify every subscription. One that raises an error is given up; the others are still notified."""
        for subscription in self.subscriptions:
            try:
                notify(subscription)
            except BaseException as error:
                log.exception("Run %s: a subscription ends with an error; others continue", self.run_id)
                subscription.lose(_internal_error(self.run_id, job_error(error)))


@dataclass(slots=True, eq=False, repr=False)
class Compartment(Job):
    """Job that polls the runs of a compartment together, by ListRuns, while there are enough of them.

    :param id: OCID.
    :ivar is_listed: True while its runs are polled by ListRuns, False while each is polled by GetRun.
    :ivar failed_rounds: poll rounds in a row in which ListRuns has failed.
    :ivar is_probed: True while GetRun of a few runs is to show whether only ListRuns fails.
    :ivar get_run_works: True if it has shown that; the next failure of ListRuns ends the lists.
    :ivar list_retry_seconds: how long ListRuns is not used the next time that only it fails.
    :ivar list_not_before: ListRuns is not used before this time of the loop's clock.
    """

    id: str
    runs: dict[str, PolledRun] = field(default_factory=dict)
    is_listed: bool = False
    failed_rounds: int = 0
    is_probed: bool = False
    get_run_works: bool = False
    list_retry_seconds: float = MIN_LIST_RETRY_SECONDS
    list_not_before: float = -math.inf

    def __repr__(self) -> str:
        return f"the runs of compartment {self.id}"

    def reset_failures(self) -> None:
        self.failed_rounds, self.is_probed, self.get_run_works = 0, False, False

    @property
    def listable_runs(self) -> list[PolledRun]:
        return [run for run in self.runs.values() if run.is_listable]


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
        run.subscriptions += (subscription,)
        return run

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription, and its run when it was the last one."""
        run = self.runs.get(subscription.run_id)
        if run and subscription in run.subscriptions:
            run.subscriptions = tuple(each for each in run.subscriptions if each is not subscription)
            if not run.subscriptions:
                run.unschedule()
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
                compartment.unschedule()
                del self.compartments[compartment.id]


def _interned(text: str) -> str:
    """Return the one copy of a string that thousands of runs share, such as a state."""
    return sys.intern(str(text))


def _internal_error(run_id: str, error: BaseException) -> str:
    return f"polling run {run_id} failed with {type(error).__name__}: {error}"
