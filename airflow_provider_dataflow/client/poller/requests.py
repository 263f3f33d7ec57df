"""What is asked about the runs that are waited for, and what becomes of the answers."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.poller.compartment import FORGET_AFTER, Compartment, Costs
from airflow_provider_dataflow.client.poller.durations import History
from airflow_provider_dataflow.client.poller.loop_yielder import Bites
from airflow_provider_dataflow.client.poller.registry import Board
from airflow_provider_dataflow.client.poller.request_sender import Sender
from airflow_provider_dataflow.client.poller.run_list import Round
from airflow_provider_dataflow.client.poller.scheduler import Schedule
from airflow_provider_dataflow.client.poller.subscriptions import Watch
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    InvalidConnection,
    ServiceError,
    UnexpectedResponse,
)
from airflow_provider_dataflow.polling import HEARTBEAT

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import RunPage

log = logging.getLogger(__name__)

#: Seconds between two thoughts about whether to list, while runs are asked for one by one.
RECONSIDER = 10.0
#: Runs per page. A page of 500 is parsed in 3 ms; larger ones are refused by some services of OCI.
PAGE_SIZE = 500
SMALLEST_PAGE = 100
#: After so many failed rounds of lists in a row, some runs are asked for by GetRun: does that fail, too?
MAX_LIST_FAILURES = 2
PROBES = 4
#: Seconds until a run is polled again whose job was stuck.
STUCK_PAUSE_SECONDS = 30.0


class Questions:
    """Asks for a run by GetRun, or for many of a compartment by ListRuns, and tells those who wait.

    :param board: whose runs.
    :param sender: sends the requests.
    :param now: tells seconds since the epoch.
    """

    def __init__(self, board: Board, sender: Sender, now: Callable[[], float]) -> None:
        self.schedule: Schedule[Watch | Compartment] = Schedule(self._do, self._ended_with)
        self._board = board
        self._sender = sender
        self._now = now
        self._history = History(sender)
        self._costs = Costs()
        self._page_size = PAGE_SIZE
        self._failing = False
        self._has_warned = False
        self._has_answered = False
        self._quiet_until = -math.inf

    async def _do(self, job: Watch | Compartment) -> float | None:
        if isinstance(job, Compartment):
            await self._ask_together(job)
        else:
            await self._ask(job)
        return self._pause(job)

    def _ended_with(self, job: Watch | Compartment, error: BaseException) -> float | None:
        """A job has raised what is no error of the service, or is stuck: only its own waits are affected.

        :return: seconds until it is done again; ``None``: not by itself.
        """
        now = asyncio.get_running_loop().time()
        if isinstance(job, Compartment):
            # Then each run has an error of its own, or none.
            self._ask_one_by_one(job)
        elif isinstance(error, TimeoutError):
            job.fail(_as_service_error(error, "GetRun"), now)
        else:
            job.end(error)
        log.error("Polling %r failed; other runs are polled as before", job, exc_info=error)
        if isinstance(job, Compartment):
            return FORGET_AFTER if job.watches else None
        return STUCK_PAUSE_SECONDS if job.is_waited_for else None

    def _pause(self, job: Watch | Compartment) -> float | None:
        """Seconds until it is asked for again; ``None``: not by itself, or not at all."""
        if isinstance(job, Compartment):
            return max(job.pause, 0.0) if job.watches else None
        if not job.is_waited_for:
            return None
        pause, job.pause = job.pause, 0.0
        if job.compartment and job.compartment.listing and job.is_listable:
            return None
        return max(_later(job.interval(self._now(), self._history.durations)), pause)

    # One by one

    async def _ask(self, watch: Watch) -> None:
        if not watch.is_waited_for:
            return
        try:
            run, seconds = await self._sender.send(lambda client: client.get_run(watch.run_id), "GetRun")
        except DataFlowError as error:
            await self._failed(error, "GetRun", [watch])
            return
        self._answered()
        self._costs.got(seconds)
        self._history.learn(run)
        self._board.place(watch, run.compartment_id)
        if watch.compartment and watch.compartment.due == math.inf and not watch.compartment.asking:
            self.schedule.at(watch.compartment, asyncio.get_running_loop().time() + RECONSIDER)
        watch.deliver(run)
        if watch.compartment and watch.compartment.failures >= MAX_LIST_FAILURES:
            log.warning("Runs of %s are asked for one by one, since lists fail", watch.compartment.id)
            self._ask_one_by_one(watch.compartment)
        await self._history.look_back(watch, self._now())

    # Together

    async def _ask_together(self, compartment: Compartment) -> None:
        loop, bites = asyncio.get_running_loop(), Bites()
        compartment.pause = RECONSIDER
        period = await self._choose(compartment)
        if not compartment.listing:
            compartment.pause = max(RECONSIDER, period if period < math.inf else 0.0)
            now = loop.time()
            for watch in list(compartment.watches.values()):
                if watch.due == math.inf and not watch.asking and watch.is_waited_for:
                    soon = 0.0 if watch.state is None else random.uniform(0, period)  # noqa: S311
                    self.schedule.at(watch, now + soon)
                    await bites.rest()
            return
        compartment.pause = _later(period)
        watches = [watch for watch in compartment.watches.values() if watch.is_listable]
        for watch in watches:
            watch.due = math.inf
        await bites.rest()
        look = Round(watches, self._costs.page_in_gets)
        await bites.rest()

        async def list_page(state: str, page: str | None) -> RunPage:
            found, seconds = await self._sender.send(
                lambda client: client.list_runs_page(
                    compartment.id, lifecycle_state=state, limit=self._page_size, page=page
                ),
                "ListRuns",
            )
            self.schedule.progressed(compartment)
            self._answered()
            self._costs.listed(seconds)
            return found

        try:
            await look.look(list_page)
        except DataFlowError as error:
            await self._list_failed(error, compartment, list(look.unseen.values()))
            return
        compartment.failures = 0
        compartment.measured(look.cost, loop.time())
        now = loop.time()
        for watch in look.unseen.values():
            if not watch.asking and watch.subscriptions:
                self.schedule.at(watch, now)
                await bites.rest()

    async def _choose(self, compartment: Compartment) -> float:
        """One by one, or together; and how soon the most impatient run is worth asking for again."""
        shortest, per_second = math.inf, 0.0
        now, bites = self._now(), Bites()
        for watch in list(compartment.watches.values()):
            if watch.is_listable and watch.subscriptions:
                seconds = watch.interval(now, self._history.durations)
                shortest = min(shortest, seconds)
                per_second += 1 / max(seconds, 1e-3)
                await bites.rest()
        compartment.choose(
            shortest,
            per_second,
            self._costs.page_in_gets,
            self._page_size,
            asyncio.get_running_loop().time(),
        )
        return shortest

    # Without an answer

    async def _list_failed(self, error: DataFlowError, compartment: Compartment, unseen: list[Watch]) -> None:
        failure = _as_service_error(error, "ListRuns")
        now = asyncio.get_running_loop().time()
        if failure.is_transient and not isinstance(failure, UnexpectedResponse):
            compartment.failures += 1
            if compartment.failures >= MAX_LIST_FAILURES:
                # If the service answers one of these at this moment, only its lists are in trouble.
                for watch in random.sample(unseen, min(len(unseen), PROBES)):
                    self.schedule.at(watch, now)
            compartment.pause = max(compartment.pause, failure.retry_after or 0.0)
            await self._failed(failure, "ListRuns", unseen)
        elif failure.status == 400 and self._page_size > SMALLEST_PAGE:
            self._page_size = SMALLEST_PAGE
            compartment.pause = 0.0
        else:
            # Whoever may read a run is not always allowed to list them.
            log.warning("Runs of %s are asked for one by one, since %s", compartment.id, failure)
            compartment.pause = RECONSIDER
            self._ask_one_by_one(compartment)

    def _ask_one_by_one(self, compartment: Compartment) -> None:
        """Lists of this compartment are of no use for a while."""
        now = asyncio.get_running_loop().time()
        compartment.bar(now)
        for watch in compartment.watches.values():
            if not watch.asking and watch.is_waited_for:
                self.schedule.at(watch, now)

    async def _failed(self, error: DataFlowError, operation: str, watches: list[Watch]) -> None:
        now, bites = asyncio.get_running_loop().time(), Bites()
        # One that was valid may be so again: whoever hands out tokens may be in trouble.
        if isinstance(error, InvalidConnection) and not self._has_answered:
            for subscription in self._board.subscriptions:
                if not subscription.done.done():
                    subscription.done.set_exception(error)
            return
        failure = _as_service_error(error, operation)
        if not self._failing:
            self._failing = True
            # One run that fails among others that do not would write two lines in each round.
            if now >= self._quiet_until:
                self._quiet_until = now + HEARTBEAT
                self._has_warned = True
                log.warning("Waiting on for %d runs although %s", len(self._board.watches), failure)
        for watch in watches:
            watch.pause = failure.retry_after or 0.0
            watch.fail(failure, now)
            await bites.rest()

    def _answered(self) -> None:
        self._failing = False
        self._has_answered = True
        if self._has_warned:
            self._has_warned = False
            log.info("Data Flow answers again")


def _later(seconds: float) -> float:
    """Never before the interval is over, and not in step with others."""
    return seconds * random.uniform(1.0, 1.1)  # noqa: S311


def _as_service_error(error: BaseException, operation: str) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return ServiceError(operation=operation, message=f"{type(error).__name__}: {error}")
