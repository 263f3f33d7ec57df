"""Polls runs by GetRun or ListRuns, and passes responses and errors to their subscriptions."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.poller.event_loop import LoopYielder
from airflow_provider_dataflow.client.poller.request_sender import RequestSender
from airflow_provider_dataflow.client.poller.run_list import find_runs
from airflow_provider_dataflow.client.poller.scheduler import Scheduler
from airflow_provider_dataflow.client.poller.subscriptions import Compartment, PolledRun, RunRegistry
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    InvalidConnection,
    ServiceError,
    UnexpectedResponse,
)
from airflow_provider_dataflow.polling import (
    COLLECT_SECONDS,
    FALLBACK_PAGE_SIZE,
    FAULT_PAUSE_SECONDS,
    HEARTBEAT_SECONDS,
    LATE_SECONDS,
    LIST_PAGE_SIZE,
    LIST_RETRY_SECONDS,
    LIST_THRESHOLD,
    MAX_FAILED_ROUNDS,
    PROBES,
    jittered,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient, RunPage
    from airflow_provider_dataflow.models.run import Run

log = logging.getLogger(__name__)


class RequestDispatcher:
    """Polls a run by GetRun, or many runs of a compartment by ListRuns, and updates their subscriptions.

    The state of a run is known again at most one poll interval after the request before was sent, as long as
    the requests fit under the rate limit. Beyond that, jobs wait for each other in the order in which they
    are due, so all are equally late.

    :param registry: the runs to poll.
    :param sender: sends the requests.
    """

    def __init__(self, registry: RunRegistry, sender: RequestSender) -> None:
        self.scheduler: Scheduler[PolledRun | Compartment] = Scheduler(
            self._run_job, self._handle_fault, self._forgotten_runs
        )
        self._registry = registry
        self._sender = sender
        self._page_size = LIST_PAGE_SIZE
        self._last_request_failed = False
        self._has_warned = False
        self._has_had_response = False
        self._quiet_until = -math.inf
        self._late_at = -math.inf

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

    async def _run_job(self, job: PolledRun | Compartment, late: float) -> float | None:
        """Poll, and return when to poll again; None if the job is not to be scheduled again."""
        if late > LATE_SECONDS:
            self._log_late(late)
        if isinstance(job, Compartment):
            return await self._poll_compartment(job)
        return await self._poll_run(job)

    def _handle_fault(self, job: PolledRun | Compartment, error: BaseException) -> float | None:
        """Handle a job that is stuck, or raised an internal error.

        Only the subscriptions of this job are affected.

        :return: as of :meth:`_run_job`.
        """
        now = asyncio.get_running_loop().time()
        log.error("Polling %r failed; other runs are polled as before", job, exc_info=error)
        if isinstance(job, Compartment):
            # Polled by GetRun, each run has its own error or none.
            self._stop_listing(job, LIST_RETRY_SECONDS)
            return None
        if isinstance(error, TimeoutError):
            job.fail(_as_service_error(error, "GetRun"), now)
        else:
            job.abort(error)
        return now + FAULT_PAUSE_SECONDS if job.is_awaited else None

    def _forgotten_runs(self) -> list[PolledRun]:
        """Return the runs that wait for no poll: none, unless the poller has a fault."""
        return [
            run
            for run in self._registry.runs.values()
            if run.due == math.inf
            and not run.in_progress
            and not (run.compartment is not None and run.compartment.polls(run))
            and run.is_awaited
        ]

    # --- GetRun ----------------------------------------------------------------------------------------

    async def _poll_run(self, run: PolledRun) -> float | None:
        missed_at, run.missed_at = run.missed_at, None
        if not run.is_awaited:
            return None
        loop = asyncio.get_running_loop()
        sent_at = loop.time()

        async def get_run(client: AsyncDataFlowClient) -> Run:
            nonlocal sent_at
            sent_at = loop.time()
            return await client.get_run(run.run_id)

        try:
            found = await self._sender.send(get_run, "GetRun")
        except DataFlowError as error:
            await self._handle_error(error, "GetRun", [run])
            sent_at = loop.time()
        else:
            self._record_response()
            self._registry.assign(run, found.compartment_id)
            run.update(found)
            if run.compartment is not None:
                self._adapt_listing(run.compartment, missed_at)
        is_listed = run.compartment is not None and run.compartment.is_listed and run.is_listable
        if is_listed or not run.is_awaited:
            return None
        return sent_at + jittered(run.interval())

    def _adapt_listing(self, compartment: Compartment, missed_at: float | None) -> None:
        """Decide between GetRun and ListRuns after a GetRun that has worked.

        :param missed_at: begin of the round that did not find the run.
        """
        if compartment.failed_rounds >= MAX_FAILED_ROUNDS:
            log.warning(
                "Compartment %s: ListRuns fails but GetRun works; each run is polled by GetRun for %.0f s",
                compartment.id,
                LIST_RETRY_SECONDS,
            )
            self._stop_listing(compartment, LIST_RETRY_SECONDS)
        elif not compartment.is_listed:
            self._list_if_many(compartment)
        elif missed_at is not None:
            seconds = asyncio.get_running_loop().time() - missed_at
            compartment.confirm_seconds = max(compartment.confirm_seconds, seconds)

    # --- ListRuns --------------------------------------------------------------------------------------

    def _list_if_many(self, compartment: Compartment) -> None:
        """Poll the compartment by ListRuns from now on if it has many runs."""
        now = asyncio.get_running_loop().time()
        if len(compartment.runs) < LIST_THRESHOLD or now < compartment.list_not_before:
            return
        if len(runs := compartment.listable_runs) >= LIST_THRESHOLD:
            compartment.is_listed = True
            first_due = min(run.due for run in runs)
            for run in runs:
                run.due = math.inf
            self.scheduler.schedule(compartment, min(first_due, now + COLLECT_SECONDS))

    def _stop_listing(self, compartment: Compartment, seconds: float) -> None:
        """Poll each run of the compartment by GetRun, from now on and for this time."""
        now = asyncio.get_running_loop().time()
        compartment.list_not_before = now + seconds
        compartment.is_listed = False
        compartment.failed_rounds = 0
        compartment.due = math.inf
        for run in compartment.runs.values():
            # Also those in progress: their polls may have ended with the decision to be listed.
            if run.is_awaited:
                self.scheduler.schedule(run, now)

    async def _poll_compartment(self, compartment: Compartment) -> float | None:
        """Run a poll round, and schedule a GetRun for each run that it does not find.

        :return: as of :meth:`_run_job`.
        """
        loop = asyncio.get_running_loop()
        runs = compartment.listable_runs
        if not compartment.is_listed:
            return None
        if len(runs) < LIST_THRESHOLD:
            self._stop_listing(compartment, 0.0)
            return None
        interval = jittered(min(run.interval() for run in runs))
        # The poll of a run that has ended is over when GetRun confirms it, so begin the next round earlier.
        confirm_seconds, compartment.confirm_seconds = compartment.confirm_seconds, 0.0
        interval = max(interval - confirm_seconds, interval / 2)
        sent_at = math.inf

        async def list_page(state: str, page: str | None) -> RunPage:
            async def send(client: AsyncDataFlowClient) -> RunPage:
                nonlocal sent_at
                sent_at = min(sent_at, loop.time())
                return await client.list_runs_page(
                    compartment.id, lifecycle_state=state, limit=self._page_size, page=page
                )

            found = await self._sender.send(send, "ListRuns")
            self.scheduler.record_progress(compartment)
            self._record_response()
            return found

        missing = {run.run_id: run for run in runs}
        try:
            await find_runs(missing, list_page)
        except DataFlowError as error:
            return await self._handle_list_error(error, compartment, list(missing.values()), interval)
        compartment.failed_rounds = 0
        yielder = LoopYielder()
        for run in missing.values():
            if not run.in_progress and run.subscriptions and run.due == math.inf:
                run.missed_at = sent_at
                self.scheduler.schedule(run, loop.time())
                await yielder.yield_if_due()
        return sent_at + interval if compartment.runs else None

    async def _handle_list_error(
        self, error: DataFlowError, compartment: Compartment, missing: list[PolledRun], interval: float
    ) -> float | None:
        """Handle the error of a poll round, and return when to run the next one."""
        failure = _as_service_error(error, "ListRuns")
        now = asyncio.get_running_loop().time()
        if failure.is_transient and not isinstance(failure, UnexpectedResponse):
            compartment.failed_rounds += 1
            if compartment.failed_rounds >= MAX_FAILED_ROUNDS:
                # If the service responds to one of these, only ListRuns fails: see _adapt_listing.
                for run in random.sample(missing, min(len(missing), PROBES)):
                    self.scheduler.schedule(run, now)
            await self._handle_error(error, "ListRuns", missing)
            return now + interval if compartment.runs else None
        if failure.status == 400 and self._page_size > FALLBACK_PAGE_SIZE:
            self._page_size = FALLBACK_PAGE_SIZE
            return now
        # A policy may allow GetRun but not ListRuns.
        log.warning(
            "Compartment %s: ListRuns fails (%s); each run is polled by GetRun for %.0f s",
            compartment.id,
            failure,
            LIST_RETRY_SECONDS,
        )
        self._stop_listing(compartment, LIST_RETRY_SECONDS)
        return None

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
        if not self._last_request_failed:
            self._last_request_failed = True
            # Limited, since one failing run among healthy ones would log two lines in each round.
            if now >= self._quiet_until:
                self._quiet_until = now + HEARTBEAT_SECONDS
                self._has_warned = True
                log.warning(
                    "Polling %d runs: a request failed (%s); retrying for up to the error budget of each run",
                    len(self._registry.runs),
                    failure,
                )
        for run in runs:
            run.fail(failure, now)
            await yielder.yield_if_due()

    def _record_response(self) -> None:
        self._last_request_failed = False
        self._has_had_response = True
        if self._has_warned:
            self._has_warned = False
            log.info("Data Flow responds again")

    def _log_late(self, late: float) -> None:
        now = asyncio.get_running_loop().time()
        # Once, until all polls have been in time for a while.
        if now - self._late_at > HEARTBEAT_SECONDS:
            log.warning(
                "Polling %d runs: polls are %.0f s late, since the requests exceed the rate limit, now "
                "%.3g per second; all runs are polled less often. Consider a longer poll_interval, or "
                "a higher [oci_data_flow] max_requests_per_second",
                len(self._registry.runs),
                late,
                self._sender.rate_limit.rate(now),
            )
        self._late_at = now


def _as_service_error(error: BaseException, operation: str) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return ServiceError(operation=operation, message=f"{type(error).__name__}: {error}")
