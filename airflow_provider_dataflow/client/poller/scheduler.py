"""Runs jobs when they are due, a few at a time, and recovers from stuck or failing ones."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from airflow_provider_dataflow.client.poller.job_errors import job_error
from airflow_provider_dataflow.client.poller.loop_yielder import LoopYielder
from airflow_provider_dataflow.polling import MAX_CONNECTIONS

log = logging.getLogger(__name__)

#: Between two checks that the scheduler makes progress.
CHECK_SECONDS = 30.0
#: A job without progress for this long is stuck. Each of its requests has a shorter timeout.
STUCK_SECONDS = 900.0
#: Pause of a job that returned no valid one.
FALLBACK_PAUSE_SECONDS = 30.0
#: :meth:`Scheduler.stop` waits for its tasks for this long.
STOP_SECONDS = 10.0


class ScheduledJob(Protocol):
    """Work that is repeated.

    :ivar due: time of the next run on the loop's clock; infinite if none is scheduled.
    :ivar in_progress: True while a worker runs the job, and while it waits for a worker.
    """

    due: float
    in_progress: bool


J = TypeVar("J", bound=ScheduledJob)


class Scheduler(Generic[J]):
    """Runs each job when it is due, as many at a time as the client has connections.

    A job that raises an error does not affect others: its worker continues with the next job. A timer checks
    that the scheduler's tasks are alive and that no job is stuck.

    :param run_job: runs a job, and returns the seconds until it is due again, or None to not schedule it.
    :param handle_fault: called with a job that has raised an error or is stuck; returns the same.
    """

    def __init__(
        self,
        run_job: Callable[[J], Awaitable[float | None]],
        handle_fault: Callable[[J, BaseException], float | None],
    ) -> None:
        self._run_job = run_job
        self._handle_fault = handle_fault
        # Heap of (due, number, job). An entry is outdated if the job is due at another time.
        self._queue: list[tuple[float, int, J]] = []
        self._clean_up_at_length = 64
        self._numbers = itertools.count()
        self._queue_changed = asyncio.Event()
        self._ready: deque[J] = deque()
        self._task: asyncio.Task[None] | None = None
        #: Workers that have not ended and are not given up.
        self._workers: dict[asyncio.Task[None], _WorkerState[J]] = {}
        self._check_timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._has_warned = False

    def start(self) -> None:
        """Start if it is not running and was not stopped."""
        if self._task is None and not self._stopped:
            self._task = _create_task(self._run())
            self._start_check_timer()

    def schedule(self, job: J, due: float) -> None:
        """Run the job at this time of the loop's clock, unless it is due earlier anyway."""
        # Written so that NaN changes nothing either.
        if not due < job.due:
            return
        job.due = due
        if len(self._queue) > self._clean_up_at_length:
            # Most entries are of subscriptions that have ended.
            self._queue = [entry for entry in self._queue if entry[0] == entry[2].due]
            heapq.heapify(self._queue)
            self._clean_up_at_length = 64 + 4 * len(self._queue)
        heapq.heappush(self._queue, (due, next(self._numbers), job))
        if self._queue[0][2] is job:
            self._queue_changed.set()

    def record_progress(self, job: J) -> None:
        """Note that a job of several requests has got a response, so that it does not count as stuck."""
        for state in self._workers.values():
            if state.job is job:
                state.since = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """Cancel the jobs that are running, and start no more."""
        self._stopped = True
        if self._check_timer:
            self._check_timer.cancel()
        tasks = [*self._workers, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            # A task that ignores its cancellation is abandoned.
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._queue_changed.clear()
            now = loop.time()
            yielder = LoopYielder()
            while self._queue and self._queue[0][0] <= now:
                due, _, job = heapq.heappop(self._queue)
                if job.due == due:
                    job.due = math.inf
                    # A job in progress is scheduled again when it returns.
                    if not job.in_progress:
                        job.in_progress = True
                        self._ready.append(job)
                await yielder.yield_if_due()
            self._start_workers()
            try:
                async with asyncio.timeout_at(self._queue[0][0] if self._queue else None):
                    await self._queue_changed.wait()
            except TimeoutError:
                pass

    def _start_workers(self) -> None:
        for _ in range(min(len(self._ready), MAX_CONNECTIONS - len(self._workers))):
            state: _WorkerState[J] = _WorkerState()
            worker = _create_task(self._work(state))
            self._workers[worker] = state
            worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        state = self._workers.pop(worker, None)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("A worker of the poller ended with an error; another one replaces it", exc_info=error)
        if state and state.job is not None and not self._stopped:
            self._give_up(state.job)
            self._queue_changed.set()

    async def _work(self, state: _WorkerState[J]) -> None:
        loop = asyncio.get_running_loop()
        while self._ready:
            job = state.job = self._ready.popleft()
            state.since = loop.time()
            try:
                pause = await self._run_job(job)
            except BaseException as error:  # noqa: BLE001 - or its subscriptions would wait forever
                fault = job_error(error)
                pause = None if state.is_given_up else self._pause_after_fault(job, fault)
            if state.is_given_up:
                # Another worker runs this job by now.
                return
            state.job = None
            self._finish(job, pause)
        # Freed here, since the callback of an ended task only runs in the loop's next iteration.
        if (worker := asyncio.current_task()) is not None:
            self._workers.pop(worker, None)

    def _pause_after_fault(self, job: J, error: BaseException) -> float | None:
        try:
            return self._handle_fault(job, error)
        except BaseException as fault:
            log.error(
                "Polling %r failed, and its subscriptions could not be ended; it is polled again in %.0f s",
                job,
                FALLBACK_PAUSE_SECONDS,
                exc_info=job_error(fault),
            )
            return FALLBACK_PAUSE_SECONDS

    def _finish(self, job: J, pause: float | None) -> None:
        job.in_progress = False
        if pause is not None:
            if not 0 <= pause < math.inf:
                pause = FALLBACK_PAUSE_SECONDS
            self.schedule(job, asyncio.get_running_loop().time() + pause)

    # --- Supervision -----------------------------------------------------------------------------------

    def _start_check_timer(self) -> None:
        # A timer, since a task could end just as the tasks that it supervises.
        self._check_timer = asyncio.get_running_loop().call_later(
            CHECK_SECONDS, self._check, context=contextvars.Context()
        )

    def _check(self) -> None:
        """Restart the scheduler's task if it has ended, and give up jobs that are stuck."""
        self._start_check_timer()
        now = asyncio.get_running_loop().time()
        if self._task is not None and self._task.done():
            error = None if self._task.cancelled() else self._task.exception()
            self._log_once("The poller's scheduler has ended and is started again: %r", error)
            self._task = _create_task(self._run())
        for worker, state in list(self._workers.items()):
            if state.job is not None and now - state.since > STUCK_SECONDS:
                self._log_once(
                    "Polling %r has made no progress for %d s; it is cancelled and polled again later",
                    state.job,
                    now - state.since,
                )
                self._workers.pop(worker)
                state.is_given_up = True
                worker.cancel()
                self._give_up(state.job)
        self._start_workers()

    def _give_up(self, job: J) -> None:
        """Free a job whose worker is lost, so that another worker can run it."""
        self._finish(job, self._pause_after_fault(job, TimeoutError("the poller made no progress with it")))

    def _log_once(self, message: str, *arguments: object) -> None:
        # The cause may come back at each check.
        log.log(logging.DEBUG if self._has_warned else logging.ERROR, message, *arguments)
        self._has_warned = True


class _WorkerState(Generic[J]):
    """Current job of a worker.

    :ivar since: when it started the job or last made progress, on the loop's clock.
    :ivar is_given_up: another worker has taken its place.
    """

    __slots__ = ("is_given_up", "job", "since")

    def __init__(self) -> None:
        self.job: J | None = None
        self.since = 0.0
        self.is_given_up = False


def _create_task(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Create a task in an empty context: its log lines belong to no trigger's task log."""
    return asyncio.create_task(coroutine, context=contextvars.Context())
