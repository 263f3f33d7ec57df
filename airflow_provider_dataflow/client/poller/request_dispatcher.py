"""Polls runs by GetRun or ListRuns, and passes responses and errors to their subscriptions."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.poller.loop_yielder import LoopYielder
from airflow_provider_dataflow.client.poller.registry import Compartment, RunRegistry
from airflow_provider_dataflow.client.poller.request_sender import RequestSender
from airflow_provider_dataflow.client.poller.run_durations import DurationLearner
from airflow_provider_dataflow.client.poller.run_list import GETS_PER_PAGE, ListRound
from airflow_provider_dataflow.client.poller.scheduler import Scheduler
from airflow_provider_dataflow.client.poller.subscriptions import PolledRun
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    InvalidConnection,
    ServiceError,
    UnexpectedResponse,
)
from airflow_provider_dataflow.polling import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import RunPage

log = logging.getLogger(__name__)

#: From this many runs on, a compartment is polled by ListRuns instead of one GetRun per run. A round takes
#: two pages, of ACCEPTED and of IN_PROGRESS, and a page costs the service about as much as five GetRuns.
LIST_THRESHOLD = 2 * GETS_PER_PAGE
#: While a compartment is polled by GetRun, its runs are counted again this often.
RECOUNT_SECONDS = 10.0
#: After ListRuns was refused or kept failing, it is tried again this much later.
LIST_RETRY_SECONDS = 600.0
#: Runs per page. A page of 500 is parsed in 3 ms; some services of OCI refuse larger ones.
PAGE_SIZE = 500
FALLBACK_PAGE_SIZE = 100
#: After this many failed rounds in a row, a few runs are polled by GetRun, to see if only ListRuns fails.
MAX_FAILED_ROUNDS = 2
PROBES = 4
#: Pause before a run whose job was stuck is polled again.
STUCK_PAUSE_SECONDS = 30.0


class RequestDispatcher:
    """Polls a run by GetRun, or many runs of a compartment by ListRuns, and updates their subscriptions.

    :param registry: the runs to poll.
    :param sender: sends the requests.
    :param now: returns seconds since 1970.
    """

    def __init__(self, registry: RunRegistry, sender: RequestSender, now: Callable[[], float]) -> None:
        self.scheduler: Scheduler[PolledRun | Compartment] = Scheduler(self._run_job, self._handle_fault)
        self._registry = registry
        self._sender = sender
        self._now = now
        self._durations = DurationLearner(sender)
        self._page_size = PAGE_SIZE
        self._last_request_failed = False
        self._has_warned = False
        self._has_had_response = False
        self._quiet_until = -math.inf

    async def _run_job(self, job: PolledRun | Compartment) -> float | None:
        """Poll, and return the seconds until the next poll; None if the job is not to be scheduled again."""
        if isinstance(job, Compartment):
            pause = await self._poll_compartment(job)
            return pause if job.runs else None
        await self._poll_run(job)
        return self._pause_after(job)

    def _handle_fault(self, job: PolledRun | Compartment, error: BaseException) -> float | None:
        """Handle a job that is stuck, or raised an internal error.

        Only the subscriptions of this job are affected.

        :return: as of :meth:`_run_job`.
        """
        now = asyncio.get_running_loop().time()
        if isinstance(job, Compartment):
            # Polled by GetRun, each run has its own error or none.
            self._stop_listing(job)
        elif isinstance(error, TimeoutError):
            job.fail(_as_service_error(error, "GetRun"), now)
        else:
            job.abort(error)
        log.error("Polling %r failed; other runs are polled as before", job, exc_info=error)
        if isinstance(job, Compartment):
            return LIST_RETRY_SECONDS if job.runs else None
        return STUCK_PAUSE_SECONDS if job.is_awaited else None

    # --- GetRun ----------------------------------------------------------------------------------------

    async def _poll_run(self, run: PolledRun) -> None:
        if not run.is_awaited:
            return
        try:
            found = await self._sender.send(lambda client: client.get_run(run.run_id), "GetRun")
        except DataFlowError as error:
            await self._handle_error(error, "GetRun", [run])
            return
        self._record_response()
        self._durations.learn(found)
        self._registry.assign(run, found.compartment_id)
        compartment = self._registry.compartment_of(run)
        if compartment and compartment.due == math.inf and not compartment.in_progress:
            self.scheduler.schedule(compartment, asyncio.get_running_loop().time() + RECOUNT_SECONDS)
        run.update(found)
        if compartment is None:
            return
        if compartment.failed_rounds >= MAX_FAILED_ROUNDS:
            log.warning(
                "Compartment %s: ListRuns fails but GetRun works; each run is polled by GetRun for %.0f s",
                compartment.id,
                LIST_RETRY_SECONDS,
            )
            self._stop_listing(compartment)
        now = self._now()
        if run.application_id and run.created and run.is_awaited and not compartment.is_listed:
            await self._durations.look_up(
                run.application_id,
                compartment.id,
                age=now - run.created,
                poll_interval=run.subscriptions[0].poll_interval,
                now=now,
            )

    def _pause_after(self, run: PolledRun) -> float | None:
        """Return the seconds until the next GetRun; None if ListRuns polls the run, or nobody awaits it."""
        if not run.is_awaited:
            return None
        min_pause, run.min_pause = run.min_pause, 0.0
        compartment = self._registry.compartment_of(run)
        if compartment and compartment.is_listed and run.is_listable:
            return None
        return max(_with_jitter(run.interval(self._now(), self._durations.history)), min_pause)

    # --- ListRuns --------------------------------------------------------------------------------------

    async def _poll_compartment(self, compartment: Compartment) -> float:
        """Run a poll round by ListRuns, or leave the runs to GetRun if they are few.

        :return: seconds until the next round, or until the runs are counted again.
        """
        loop = asyncio.get_running_loop()
        runs = [run for run in compartment.runs.values() if run.is_listable and run.subscriptions]
        compartment.is_listed = len(runs) >= LIST_THRESHOLD and loop.time() >= compartment.list_not_before
        if compartment.is_listed:
            for run in runs:
                run.due = math.inf
        interval = await self._shortest_interval(runs)
        if compartment.is_listed:
            return await self._poll_by_list(compartment, runs, _with_jitter(interval))
        await self._poll_one_by_one(compartment, interval)
        return max(RECOUNT_SECONDS, interval)

    async def _shortest_interval(self, runs: Iterable[PolledRun]) -> float:
        """Return the shortest poll interval of the runs that still have subscriptions; 0 if there is none."""
        now, yielder, shortest = self._now(), LoopYielder(), math.inf
        for run in runs:
            if run.subscriptions:
                shortest = min(shortest, run.interval(now, self._durations.history))
                await yielder.yield_if_due()
        return shortest if shortest < math.inf else 0.0

    async def _poll_one_by_one(self, compartment: Compartment, interval: float) -> None:
        """Schedule a GetRun for each run that has none yet, spread over an interval."""
        now, yielder = asyncio.get_running_loop().time(), LoopYielder()
        for run in list(compartment.runs.values()):
            if run.due == math.inf and not run.in_progress and run.is_awaited:
                pause = 0.0 if run.state is None else random.uniform(0, interval)  # noqa: S311
                self.scheduler.schedule(run, now + pause)
                await yielder.yield_if_due()

    async def _poll_by_list(self, compartment: Compartment, runs: list[PolledRun], pause: float) -> float:
        """Run a poll round, and schedule a GetRun for each run that it does not find.

        :param pause: seconds until the next round if this one succeeds.
        :return: seconds until the next round.
        """
        yielder, poll_round = LoopYielder(), ListRound(runs)

        async def list_page(state: str, page: str | None) -> RunPage:
            found = await self._sender.send(
                lambda client: client.list_runs_page(
                    compartment.id, lifecycle_state=state, limit=self._page_size, page=page
                ),
                "ListRuns",
            )
            self.scheduler.record_progress(compartment)
            self._record_response()
            return found

        try:
            await poll_round.poll(list_page)
        except DataFlowError as error:
            return await self._handle_list_error(error, compartment, list(poll_round.missing.values()), pause)
        compartment.failed_rounds = 0
        now = asyncio.get_running_loop().time()
        for run in poll_round.missing.values():
            if not run.in_progress and run.subscriptions:
                self.scheduler.schedule(run, now)
                await yielder.yield_if_due()
        return pause

    async def _handle_list_error(
        self, error: DataFlowError, compartment: Compartment, missing: list[PolledRun], pause: float
    ) -> float:
        """Handle the error of a poll round, and return the seconds until the next one."""
        failure = _as_service_error(error, "ListRuns")
        now = asyncio.get_running_loop().time()
        if failure.is_transient and not isinstance(failure, UnexpectedResponse):
            compartment.failed_rounds += 1
            if compartment.failed_rounds >= MAX_FAILED_ROUNDS:
                # If the service responds to one of these, only ListRuns fails: see _poll_run.
                for run in random.sample(missing, min(len(missing), PROBES)):
                    self.scheduler.schedule(run, now)
            await self._handle_error(failure, "ListRuns", missing)
            return max(pause, failure.retry_after or 0.0)
        if failure.status == 400 and self._page_size > FALLBACK_PAGE_SIZE:
            self._page_size = FALLBACK_PAGE_SIZE
            return 0.0
        # A policy may allow GetRun but not ListRuns.
        log.warning(
            "Compartment %s: ListRuns fails (%s); each run is polled by GetRun for %.0f s",
            compartment.id,
            failure,
            LIST_RETRY_SECONDS,
        )
        self._stop_listing(compartment)
        return RECOUNT_SECONDS

    def _stop_listing(self, compartment: Compartment) -> None:
        """Poll each run of the compartment by GetRun, from now on and for ten minutes."""
        now = asyncio.get_running_loop().time()
        compartment.list_not_before = now + LIST_RETRY_SECONDS
        compartment.is_listed = False
        compartment.failed_rounds = 0
        for run in compartment.runs.values():
            if not run.in_progress and run.is_awaited:
                self.scheduler.schedule(run, now)

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
            run.min_pause = failure.retry_after or 0.0
            run.fail(failure, now)
            await yielder.yield_if_due()

    def _record_response(self) -> None:
        self._last_request_failed = False
        self._has_had_response = True
        if self._has_warned:
            self._has_warned = False
            log.info("Data Flow responds again")


def _with_jitter(interval: float) -> float:
    """Return up to 10 % more than the interval, so that jobs do not poll in step and never too early."""
    return interval * random.uniform(1.0, 1.1)  # noqa: S311


def _as_service_error(error: BaseException, operation: str) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return ServiceError(operation=operation, message=f"{type(error).__name__}: {error}")
