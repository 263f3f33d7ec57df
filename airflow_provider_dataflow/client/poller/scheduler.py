"""Runs jobs when they are due, a few at a time, and gives up those that are stuck."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dataflow.polling import CHECK_SECONDS, MAX_CONNECTIONS, STOP_SECONDS, STUCK_SECONDS

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """Work that is repeated.

    :ivar timer: for the next run, if one is scheduled.
    :ivar active_since: time at which the job became due, started, or last made progress; None while it is
        neither waiting for its task nor running.
    """

    timer: asyncio.TimerHandle | None = field(init=False, default=None)
    active_since: float | None = field(init=False, default=None)

    @property
    def due(self) -> float:
        """Time of the next run on the loop's clock; infinite if none is scheduled."""
        return math.inf if self.timer is None or self.timer.cancelled() else self.timer.when()

    @property
    def is_idle(self) -> bool:
        """True if the job neither runs nor will run."""
        return self.active_since is None and self.due == math.inf

    def unschedule(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Scheduler:
    """Runs each job when it is due, as many at a time as the client has connections.

    Each run of a job is a task, whose error affects no other job. All else happens in callbacks of the event
    loop, so there is no task of the scheduler that could end.

    :param run_job: runs a job. Returns the time of the loop's clock at which the job is due again, or None to
        not schedule it.
    :param handle_fault: called with a job that has raised an error or is stuck. Returns the same.
    :param find_forgotten: returns the jobs that have work, but are idle. There should be none.
    """

    def __init__(
        self,
        run_job: Callable[[Any], Coroutine[Any, Any, float | None]],
        handle_fault: Callable[[Any, BaseException], float | None],
        find_forgotten: Callable[[], Iterable[Job]] = tuple,
    ) -> None:
        self._run_job = run_job
        self._handle_fault = handle_fault
        self._find_forgotten = find_forgotten
        #: Jobs that are due, and wait until another one ends.
        self._ready: deque[Job] = deque()
        #: Tasks that have not ended and are not given up.
        self._running: dict[asyncio.Task[float | None], Job] = {}
        self._check_timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._has_warned = False
        # Empty, since log lines of the poller belong to no trigger's task log.
        self._context = contextvars.Context()

    def schedule(self, job: Job, due: float | None) -> None:
        """Run the job at this time of the loop's clock, unless it is due earlier anyway. None: do nothing."""
        # Written so that NaN changes nothing either.
        if self._stopped or due is None or not due < job.due:
            return
        job.unschedule()
        job.timer = self._call_at(due, self._queue, job)
        if self._check_timer is None:
            now = asyncio.get_running_loop().time()
            self._check_timer = self._call_at(now + CHECK_SECONDS, self._check)

    async def stop(self) -> None:
        """Cancel the jobs that are running, and start no more."""
        self._stopped = True
        if self._check_timer is not None:
            self._check_timer.cancel()
        for task in self._running:
            task.cancel()
        if self._running:
            # A task that ignores its cancellation is abandoned.
            await asyncio.wait(list(self._running), timeout=STOP_SECONDS)

    def _call_at(self, when: float, callback: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_at(when, callback, *args, context=self._context)

    def _queue(self, job: Job) -> None:
        job.timer = None
        now = asyncio.get_running_loop().time()
        if job.active_since is not None:
            # Its task may have decided already that the job is not due again.
            self.schedule(job, now + 1)
        else:
            job.active_since = now
            self._ready.append(job)
            self._start_jobs()

    def _start_jobs(self) -> None:
        while self._ready and len(self._running) < MAX_CONNECTIONS and not self._stopped:
            job = self._ready.popleft()
            task = asyncio.get_running_loop().create_task(self._run_job(job), context=self._context)
            self._running[task] = job
            task.add_done_callback(self._job_ended, context=self._context)

    def _job_ended(self, task: asyncio.Task[float | None]) -> None:
        job = self._running.pop(task, None)
        if job is None or self._stopped:
            # It was given up, and another task may run this job by now.
            if not task.cancelled():
                task.exception()  # or asyncio would log it
            return
        job.active_since = None
        try:
            if task.cancelling():
                raise TimeoutError("its task was cancelled")
            due = task.result()
        except BaseException as error:  # noqa: BLE001 - or its subscriptions would wait forever
            due = self._handle_fault(job, error)
        finally:
            self._start_jobs()
        self.schedule(job, due)

    def _check(self) -> None:
        """Give up stuck jobs, and schedule forgotten ones. Nothing else would, if the poller had a fault."""
        now = asyncio.get_running_loop().time()
        self._check_timer = self._call_at(now + CHECK_SECONDS, self._check)
        for task, job in list(self._running.items()):
            stuck_seconds = now - (job.active_since or now)
            if stuck_seconds > STUCK_SECONDS:
                # Once as an error, since the cause may come back at each check.
                level = logging.DEBUG if self._has_warned else logging.ERROR
                self._has_warned = True
                message = "Polling %r has made no progress for %d s; it is cancelled and polled again later"
                log.log(level, message, job, stuck_seconds)
                # Free the job, so that another task can run it.
                del self._running[task]
                job.active_since = None
                task.cancel()
                error = TimeoutError("the poller made no progress with it")
                self.schedule(job, self._handle_fault(job, error))
        for job in self._find_forgotten():
            log.error("Polling %r was not scheduled, although it is awaited; it is polled now", job)
            self.schedule(job, now)
        self._start_jobs()
