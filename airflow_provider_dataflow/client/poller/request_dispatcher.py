"""Polls runs by GetRun or ListRuns, and passes responses and errors to their subscriptions."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.poller.event_loop import LoopYielder
from airflow_provider_dataflow.client.poller.request_sender import RequestSender
from airflow_provider_dataflow.client.poller.run_list import find_runs
from airflow_provider_dataflow.client.poller.scheduler import Job, Scheduler
from airflow_provider_dataflow.client.poller.subscriptions import Compartment, PolledRun, RunRegistry
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    InvalidConnection,
    ServiceError,
    UnexpectedResponse,
)
from airflow_provider_dataflow.polling import (
    CHECK_SECONDS,
    COLLECT_SECONDS,
    FALLBACK_PAGE_SIZE,
    HEARTBEAT_SECONDS,
    LATE_SECONDS,
    LIST_PAGE_SIZE,
    LIST_THRESHOLD,
    MAX_FAILED_ROUNDS,
    MAX_LIST_RETRY_SECONDS,
    MIN_LIST_RETRY_SECONDS,
    PROBED_RUNS,
    jittered,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import RunPage

log = logging.getLogger(__name__)


class RequestDispatcher:
    """Polls a run by GetRun, or many runs of a compartment by ListRuns, and updates their subscriptions.

    The state of a run is known again at most one poll interval after the poll before began, as long as the
    requests fit under the rate limit. Beyond that, jobs wait for each other in the order in which they are
    due, so all are equally late.

    :param registry: the runs to poll.
    :param sender: sends the requests.
    """

    def __init__(self, registry: RunRegistry, sender: RequestSender) -> None:
        self.scheduler = Scheduler(self._run_job, self._handle_fault, self._forgotten_jobs)
        self._registry = registry
        self._sender = sender
        self._page_size = LIST_PAGE_SIZE
        self._has_had_response = False
        #: True from the log line about a failed request until the next response.
        self._is_failing = False
        self._warned_at = self._late_at = -math.inf

    def schedule_first_poll(self, run: PolledRun) -> None:
        """Poll a run that has a new subscription, within its poll interval."""
        now = asyncio.get_running_loop().time()
        compartment = run.compartment
        if compartment is None or not run.is_listable:
            self.scheduler.schedule(run, now)
        elif compartment.is_listed:
            # Wait for the next round instead of starting one per run.
            self.scheduler.schedule(compartment, now + jittered(run.interval()))
        else:
            self.scheduler.schedule(run, now + min(COLLECT_SECONDS, run.interval()))
            self._list_if_many(compartment)

    async def _run_job(self, job: PolledRun | Compartment) -> float | None:
        """Poll, and return when to poll again; None if the job is not to be scheduled again."""
        now = asyncio.get_running_loop().time()
        late = now - (job.active_since or now)
        job.active_since = now
        if late > LATE_SECONDS:
            self._log_late(late)
        if isinstance(job, Compartment):
            return await self._poll_compartment(job, now)
        return await self._poll_run(job, now)

    def _handle_fault(self, job: PolledRun | Compartment, error: BaseException) -> float | None:
        """Handle a job that is stuck, or raised an internal error. No other job is affected.

        :return: as of :meth:`_run_job`.
        """
        now = asyncio.get_running_loop().time()
        log.error("Polling %r failed; other runs are polled as before", job, exc_info=error)
        if isinstance(job, Compartment):
            # Polled by GetRun, each run has its own error or none.
            self._stop_listing(job, MAX_LIST_RETRY_SECONDS)
            return None
        if isinstance(error, TimeoutError):
            job.fail(_as_service_error(error, "GetRun"), now)
        else:
            job.abort(error)
        return now + CHECK_SECONDS if job.is_awaited else None

    def _forgotten_jobs(self) -> Iterator[Job]:
        """Yield the jobs that should be scheduled, but are not: none, unless the poller has a fault."""
        yield from [job for job in self._registry.compartments.values() if job.is_listed and job.is_idle]
        yield from [
            run
            for run in self._registry.runs.values()
            if not run.is_listed and run.is_idle and run.is_awaited
        ]

    # --- GetRun ----------------------------------------------------------------------------------------

    async def _poll_run(self, run: PolledRun, started: float) -> float | None:
        if not run.is_awaited:
            return None
        known_compartment = run.compartment
        try:
            found = await self._sender.send(lambda client: client.get_run(run.run_id), "GetRun", is_poll=True)
        except DataFlowError as error:
            await self._handle_error(error, "GetRun", [run])
            started = asyncio.get_running_loop().time()
        else:
            self._record_response()
            self._registry.assign(run, found.compartment_id)
            run.update(found)
            if (compartment := run.compartment) is not None:
                if compartment.is_probed:
                    compartment.is_probed, compartment.get_run_works = False, True
                    self.scheduler.schedule(compartment, asyncio.get_running_loop().time())
                self._list_if_many(compartment)
        if not run.is_awaited:
            return None
        due = started + jittered(run.interval())
        if (compartment := run.compartment) is None or not run.is_listed:
            return due
        if compartment is not known_compartment:
            # Its next round may be for runs with longer intervals.
            self.scheduler.schedule(compartment, due)
        return None

    # --- ListRuns --------------------------------------------------------------------------------------

    def _list_if_many(self, compartment: Compartment) -> None:
        """Poll the compartment by ListRuns from now on if it has many runs."""
        now = asyncio.get_running_loop().time()
        is_small = len(compartment.runs) < LIST_THRESHOLD
        if is_small or compartment.is_listed or now < compartment.list_not_before:
            return
        if len(runs := compartment.listable_runs) >= LIST_THRESHOLD:
            compartment.is_listed = True
            first_due = min(run.due for run in runs)
            for run in runs:
                run.unschedule()
            self.scheduler.schedule(compartment, min(first_due, now + COLLECT_SECONDS))

    def _stop_listing(self, compartment: Compartment, seconds: float) -> None:
        """Poll each run of the compartment by GetRun, from now on and for this time."""
        now = asyncio.get_running_loop().time()
        compartment.list_not_before = now + seconds
        compartment.is_listed = False
        compartment.reset_failures()
        compartment.unschedule()
        for run in compartment.runs.values():
            # Also those in progress: their polls may have ended with the decision to be listed.
            if run.is_awaited:
                self.scheduler.schedule(run, now)

    def _poll_without_list(self, compartment: Compartment, reason: ServiceError) -> None:
        """Stop listing because only ListRuns fails, each time for longer."""
        seconds = compartment.list_retry_seconds
        compartment.list_retry_seconds = min(2 * seconds, MAX_LIST_RETRY_SECONDS)
        log.warning(
            "Compartment %s: ListRuns fails (%s), but GetRun works; each run is polled by GetRun for %.0f s",
            compartment.id,
            reason,
            seconds,
        )
        self._stop_listing(compartment, seconds)

    async def _poll_compartment(self, compartment: Compartment, started: float) -> float | None:
        """Run a poll round, and schedule a GetRun for each run that it does not find.

        :return: as of :meth:`_run_job`.
        """
        if not compartment.is_listed:
            return None
        missing = {run.run_id: run for run in compartment.listable_runs}
        if len(missing) < LIST_THRESHOLD:
            self._stop_listing(compartment, 0.0)
            return None
        loop, yielder = asyncio.get_running_loop(), LoopYielder()

        async def list_page(state: str, token: str | None) -> RunPage:
            page = await self._sender.send(
                lambda client: client.list_runs_page(
                    compartment.id, lifecycle_state=state, limit=self._page_size, page=token
                ),
                "ListRuns",
                is_poll=True,
            )
            if compartment.active_since is not None:
                # A round of many pages is not stuck.
                compartment.active_since = loop.time()
            self._record_response()
            return page

        confirm_seconds = 0.0
        try:
            await find_runs(missing, list_page)
        except DataFlowError as error:
            failure = _as_service_error(error, "ListRuns")
            if failure.status == 400 and self._page_size > FALLBACK_PAGE_SIZE:
                self._page_size = FALLBACK_PAGE_SIZE
                return loop.time()
            if compartment.get_run_works:
                self._poll_without_list(compartment, failure)
                return None
            compartment.failed_rounds += 1
            is_refused = not failure.is_transient or isinstance(failure, UnexpectedResponse)
            if is_refused or compartment.failed_rounds >= MAX_FAILED_ROUNDS:
                # If the service responds to one of these, and ListRuns fails again, only ListRuns fails. A
                # policy may allow GetRun but not ListRuns.
                compartment.is_probed = True
                for run in random.sample(list(missing.values()), min(PROBED_RUNS, len(missing))):
                    self.scheduler.schedule(run, loop.time())
            await self._handle_error(error, "ListRuns", list(missing.values()))
            started = loop.time()
        else:
            compartment.reset_failures()
            compartment.list_retry_seconds = MIN_LIST_RETRY_SECONDS
            for run in missing.values():
                if run.is_idle and run.subscriptions:
                    self.scheduler.schedule(run, loop.time())
                    await yielder.yield_if_due()
            # The end of a run is known when GetRun confirms it, so begin the next round that much earlier.
            now = loop.time()
            confirm_seconds = now - started + len(missing) / self._sender.rate_limit.rate(now)
        interval = jittered(min((run.interval() for run in compartment.listable_runs), default=0.0))
        return started + max(interval - confirm_seconds, interval / 2)

    # --- Errors and responses --------------------------------------------------------------------------

    async def _handle_error(self, error: DataFlowError, operation: str, runs: list[PolledRun]) -> None:
        now, yielder = asyncio.get_running_loop().time(), LoopYielder()
        # A connection that has worked before may work again, for example if the token service has an outage.
        if isinstance(error, InvalidConnection) and not self._has_had_response:
            for subscription in self._registry.subscriptions:
                if not subscription.done.done():
                    subscription.done.set_exception(error)
            return
        failure = _as_service_error(error, operation)
        # Limited, since one failing run among healthy ones would log two lines in each round.
        if not self._is_failing and now >= self._warned_at + HEARTBEAT_SECONDS:
            self._is_failing, self._warned_at = True, now
            log.warning(
                "Polling %d runs: a request failed (%s); retrying for up to the error budget of each run",
                len(self._registry.runs),
                failure,
            )
        for run in runs:
            run.fail(failure, now)
            await yielder.yield_if_due()

    def _record_response(self) -> None:
        self._has_had_response = True
        if self._is_failing:
            self._is_failing = False
            log.info("Data Flow responds again")

    def _log_late(self, late: float) -> None:
        now = asyncio.get_running_loop().time()
        # Once, until all polls have been in time for a while.
        if now - self._late_at > HEARTBEAT_SECONDS:
            log.warning(
                "Polling %d runs: polls are %.0f s late, since the requests exceed the rate limit, now "
                "%.3g per second, or their responses take long; all runs are polled less often. Consider a "
                "longer poll_interval, or a higher [oci_data_flow] max_requests_per_second",
                len(self._registry.runs),
                late,
                self._sender.rate_limit.rate(now),
            )
        self._late_at = now


def _as_service_error(error: BaseException, operation: str) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return ServiceError(operation=operation, message=f"{type(error).__name__}: {error}")
