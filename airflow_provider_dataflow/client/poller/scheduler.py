"""Runs jobs when they are due, a few at a time, and gives up those that are stuck."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from airflow_provider_dataflow.client.poller.event_loop import job_error
from airflow_provider_dataflow.polling import (
    CHECK_SECONDS,
    FAULT_PAUSE_SECONDS,
    MAX_CONNECTIONS,
    STUCK_SECONDS,
)

log = logging.getLogger(__name__)

#: :meth:`Scheduler.stop` waits for its tasks for this long.
STOP_SECONDS = 10.0


class ScheduledJob(Protocol):
    """Work that is repeated.

    :ivar due: time of the next run on the loop's clock; infinite if none is scheduled.
    :ivar in_progress: True while a task runs the job, and while the job waits for its task.
    """

    due: float
    in_progress: bool


J = TypeVar("J", bound=ScheduledJob)


@dataclass(slots=True)
class _Running(Generic[J]):
    """:param since: when the job started or last made progress, on the loop's clock."""

    job: J
    since: float


class Scheduler(Generic[J]):
    """Runs each job when it is due, as many at a time as the client has connections.

    Each run of a job is a task, whose error affects no other job. All else happens in callbacks of the event
    loop, so there is no task of the scheduler that could end.

    :param run_job: runs a job; called with the job and its delay in seconds. Returns the time of the loop's
        clock at which the job is due again, or None to not schedule it.
    :param handle_fault: called with a job that has raised an error or is stuck. Returns the same.
    :param find_forgotten: returns the jobs that have work, but are neither scheduled nor in progress. There
        should be none.
    """

    def __init__(
        self,
        run_job: Callable[[J, float], Coroutine[Any, Any, float | None]],
        handle_fault: Callable[[J, BaseException], float | None],
        find_forgotten: Callable[[], Iterable[J]] = tuple,
    ) -> None:
        self._run_job = run_job
        self._handle_fault = handle_fault
        self._find_forgotten = find_forgotten
        # Heap of (due, number, job). An entry is outdated if the job is due at another time.
        self._queue: list[tuple[float, int, J]] = []
        self._clean_up_at_length = 64
        self._numbers = itertools.count()
        #: Jobs that are due, with the time at which they were.
        self._ready: deque[tuple[float, J]] = deque()
        #: Jobs that became due while they were in progress.
        self._due_in_progress: set[J] = set()
        #: Tasks that have not ended and are not given up.
        self._running: dict[asyncio.Task[float | None], _Running[J]] = {}
        self._due_timer: asyncio.TimerHandle | None = None
        self._check_timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._has_warned = False

    def schedule(self, job: J, due: float) -> None:
        """Run the job at this time of the loop's clock, unless it is due earlier anyway."""
        # Written so that NaN changes nothing either.
        if self._stopped or not due < job.due:
            return
        job.due = due
        if len(self._queue) > self._clean_up_at_length:
            # Most entries are of subscriptions that have ended.
            self._queue = [entry for entry in self._queue if entry[0] == entry[2].due]
            heapq.heapify(self._queue)
            self._clean_up_at_length = 64 + 4 * len(self._queue)
        heapq.heappush(self._queue, (due, next(self._numbers), job))
        if self._queue[0][2] is job:
            self._set_due_timer()
        if self._check_timer is None:
            self._set_check_timer()

    def record_progress(self, job: J) -> None:
        """Note that a job of several requests has got a response, so that it does not count as stuck."""
        for running in self._running.values():
            if running.job is job:
                running.since = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """Cancel the jobs that are running, and start no more."""
        self._stopped = True
        for timer in (self._due_timer, self._check_timer):
            if timer is not None:
                timer.cancel()
        for task in self._running:
            task.cancel()
        if self._running:
            # A task that ignores its cancellation is abandoned.
            await asyncio.wait(list(self._running), timeout=STOP_SECONDS)

    def _set_due_timer(self) -> None:
        if self._due_timer is not None:
            self._due_timer.cancel()
        self._due_timer = None
        if self._queue and not self._stopped:
            self._due_timer = _call_at(self._queue[0][0], self._collect_due_jobs)

    def _collect_due_jobs(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            while self._queue and self._queue[0][0] <= now:
                due, _, job = heapq.heappop(self._queue)
                if job.due == due:
                    job.due = math.inf
                    if job.in_progress:
                        # It returns when it is due next, or has decided before that it is not.
                        self._due_in_progress.add(job)
                    else:
                        job.in_progress = True
                        self._ready.append((due, job))
        finally:
            self._set_due_timer()
        self._start_jobs()

    def _start_jobs(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._ready and len(self._running) < MAX_CONNECTIONS and not self._stopped:
            due, job = self._ready.popleft()
            # In an empty context: the poller's log lines belong to no trigger's task log.
            task = asyncio.create_task(self._run_job(job, now - due), context=contextvars.Context())
            self._running[task] = _Running(job, now)
            task.add_done_callback(self._job_ended, context=contextvars.Context())

    def _job_ended(self, task: asyncio.Task[float | None]) -> None:
        running = self._running.pop(task, None)
        if running is None or self._stopped:
            # It was given up, and another task may run this job by now.
            if not task.cancelled():
                task.exception()  # or asyncio would log it
            return
        try:
            if task.cancelling():
                self._fail(running.job, TimeoutError("its task was cancelled"))
            else:
                self._finish(running.job, task.result())
        except BaseException as error:  # noqa: BLE001 - or its subscriptions would wait forever
            self._fail(running.job, error)
        finally:
            self._start_jobs()

    def _finish(self, job: J, due: float | None) -> None:
        job.in_progress = False
        now = asyncio.get_running_loop().time()
        if due is None and job in self._due_in_progress:
            due = now
        self._due_in_progress.discard(job)
        if due is not None:
            # Also replaces a time that is no number.
            self.schedule(job, due if due < math.inf else now + FAULT_PAUSE_SECONDS)

    def _fail(self, job: J, error: BaseException) -> None:
        try:
            due = self._handle_fault(job, error)
        except BaseException as fault:
            due = math.inf
            log.error(
                "Polling %r failed, and its subscriptions could not be ended; it is polled again in %.0f s",
                job,
                FAULT_PAUSE_SECONDS,
                exc_info=job_error(fault),
            )
        self._finish(job, due)

    def _set_check_timer(self) -> None:
        now = asyncio.get_running_loop().time()
        self._check_timer = _call_at(now + CHECK_SECONDS, self._give_up_stuck_jobs)

    def _give_up_stuck_jobs(self) -> None:
        self._set_check_timer()
        now = asyncio.get_running_loop().time()
        for task, running in list(self._running.items()):
            if now - running.since > STUCK_SECONDS:
                # Once as an error, since the cause may come back at each check.
                log.log(
                    logging.DEBUG if self._has_warned else logging.ERROR,
                    "Polling %r has made no progress for %d s; it is cancelled and polled again later",
                    running.job,
                    now - running.since,
                )
                self._has_warned = True
                del self._running[task]
                task.cancel()
                # Free the job, so that another task can run it.
                self._fail(running.job, TimeoutError("the poller made no progress with it"))
        for job in self._find_forgotten():
            log.error("Polling %r was not scheduled, although it is awaited; it is polled now", job)
            self.schedule(job, now)
        self._collect_due_jobs()


def _call_at(when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    """Start a timer in an empty context: its log lines belong to no trigger's task log."""
    return asyncio.get_running_loop().call_at(when, callback, context=contextvars.Context())
