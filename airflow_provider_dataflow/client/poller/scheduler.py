"""When each job is done: what is due next, and a few at a time."""

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

from airflow_provider_dataflow.client.poller.faults import as_fault
from airflow_provider_dataflow.client.poller.loop_yielder import Bites
from airflow_provider_dataflow.polling import MAX_CONNECTIONS

log = logging.getLogger(__name__)

#: Seconds between two checks that the schedule makes progress.
CHECK_SECONDS = 30.0
#: Seconds after which a job that has not made progress counts as stuck. Each of its requests ends earlier.
STUCK_SECONDS = 900.0
#: Seconds until a job is done again that has not said when.
FALLBACK_PAUSE_SECONDS = 30.0
#: Seconds that a stopped schedule waits for its tasks.
STOP_SECONDS = 10.0


class Job(Protocol):
    """Something that is done again and again.

    :ivar due: on the loop's clock; never, if it is infinite.
    :ivar asking: it is being done.
    """

    due: float
    asking: bool


J = TypeVar("J", bound=Job)


class Schedule(Generic[J]):
    """Does each job when it is due, as many at a time as there are connections.

    Whatever a job raises is its own affair: its worker goes on with the next one. A timer checks now and then
    that the tasks of the schedule are alive and that no job is stuck.

    :param do: does a job, and says in how many seconds it is due again; ``None``: not by itself.
    :param failed: called with a job that has raised an error or is stuck; says the same.
    """

    def __init__(
        self,
        do: Callable[[J], Awaitable[float | None]],
        failed: Callable[[J, BaseException], float | None],
    ) -> None:
        self._do = do
        self._failed = failed
        # What is due when; entries that no longer hold are passed over.
        self._plan: list[tuple[float, int, J]] = []
        self._clear_at = 64
        self._numbers = itertools.count()
        self._planned = asyncio.Event()
        self._ready: deque[J] = deque()
        self._task: asyncio.Task[None] | None = None
        #: Workers, without those that have ended or are given up.
        self._workers: dict[asyncio.Task[None], _Work[J]] = {}
        self._check_timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._has_warned = False

    def start(self) -> None:
        """Unless it has begun already."""
        if self._task is None and not self._stopped:
            self._task = _in_own_context(self._run())
            self._check_later()

    def at(self, job: J, due: float) -> None:
        """Do it at that time, unless it is to be done earlier anyway."""
        # Written so that NaN changes nothing, too.
        if not due < job.due:
            return
        job.due = due
        if len(self._plan) > self._clear_at:
            # Mostly entries of those who have left.
            self._plan = [entry for entry in self._plan if entry[0] == entry[2].due]
            heapq.heapify(self._plan)
            self._clear_at = 64 + 4 * len(self._plan)
        heapq.heappush(self._plan, (due, next(self._numbers), job))
        if self._plan[0][2] is job:
            self._planned.set()

    def progressed(self, job: J) -> None:
        """A job of several requests has got the response to one of them."""
        for work in self._workers.values():
            if work.job is job:
                work.since = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """Cancel what is being done, and do no more."""
        self._stopped = True
        if self._check_timer:
            self._check_timer.cancel()
        tasks = [*self._workers, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            # What ignores its cancellation is left behind; nobody waits for it.
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._planned.clear()
            now = loop.time()
            bites = Bites()
            while self._plan and self._plan[0][0] <= now:
                due, _, job = heapq.heappop(self._plan)
                if job.due == due:
                    job.due = math.inf
                    # One that is being done says itself when it is due again.
                    if not job.asking:
                        job.asking = True
                        self._ready.append(job)
                await bites.rest()
            self._start_workers()
            try:
                async with asyncio.timeout_at(self._plan[0][0] if self._plan else None):
                    await self._planned.wait()
            except TimeoutError:
                pass

    def _start_workers(self) -> None:
        for _ in range(min(len(self._ready), MAX_CONNECTIONS - len(self._workers))):
            work: _Work[J] = _Work()
            worker = _in_own_context(self._work(work))
            self._workers[worker] = work
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        work = self._workers.pop(worker, None)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("A worker of the poller has ended; another one takes its place", exc_info=error)
        if work and work.job is not None and not self._stopped:
            self._give_up(work.job)
            self._planned.set()

    async def _work(self, work: _Work[J]) -> None:
        loop = asyncio.get_running_loop()
        while self._ready:
            job = work.job = self._ready.popleft()
            work.since = loop.time()
            try:
                pause = await self._do(job)
            except BaseException as error:  # noqa: BLE001 - or else its waits would hang
                fault = as_fault(error)
                pause = None if work.is_given_up else self._after_fault(job, fault)
            if work.is_given_up:
                # Too late: somebody else does that job by now.
                return
            work.job = None
            self._done(job, pause)
        # Counted at once: a task that has ended is only known to have at the loop's next turn.
        if (worker := asyncio.current_task()) is not None:
            self._workers.pop(worker, None)

    def _after_fault(self, job: J, error: BaseException) -> float | None:
        try:
            return self._failed(job, error)
        except BaseException as fault:
            log.error("A fault of the poller cannot be told to those who wait", exc_info=as_fault(fault))
            return FALLBACK_PAUSE_SECONDS

    def _done(self, job: J, pause: float | None) -> None:
        job.asking = False
        if pause is not None:
            if not 0 <= pause < math.inf:
                pause = FALLBACK_PAUSE_SECONDS
            self.at(job, asyncio.get_running_loop().time() + pause)

    # --- Supervision -----------------------------------------------------------------------------------

    def _check_later(self) -> None:
        # A timer, since a task could end as those that it is to watch over.
        self._check_timer = asyncio.get_running_loop().call_later(
            CHECK_SECONDS, self._check, context=contextvars.Context()
        )

    def _check(self) -> None:
        """See that what is due is being done, and recover if it is not."""
        self._check_later()
        now = asyncio.get_running_loop().time()
        if self._task is not None and self._task.done():
            error = None if self._task.cancelled() else self._task.exception()
            self._warn("The poller's schedule has ended and is started again: %r", error)
            self._task = _in_own_context(self._run())
        for worker, work in list(self._workers.items()):
            if work.job is not None and now - work.since > STUCK_SECONDS:
                self._warn("The poller has made no progress for %d s with %r", now - work.since, work.job)
                self._workers.pop(worker)
                work.is_given_up = True
                worker.cancel()
                self._give_up(work.job)
        self._start_workers()

    def _give_up(self, job: J) -> None:
        """A worker is lost: its job is done by another one."""
        self._done(job, self._after_fault(job, TimeoutError("the poller made no progress with it")))

    def _warn(self, message: str, *arguments: object) -> None:
        # Once: whatever the cause is, it may come back with each check.
        log.log(logging.DEBUG if self._has_warned else logging.ERROR, message, *arguments)
        self._has_warned = True


class _Work(Generic[J]):
    """What a worker is doing.

    :ivar since: when it has begun or has last made progress, on the loop's clock.
    :ivar is_given_up: another worker has taken its place.
    """

    __slots__ = ("is_given_up", "job", "since")

    def __init__(self) -> None:
        self.job: J | None = None
        self.since = 0.0
        self.is_given_up = False


def _in_own_context(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that works for all: what it logs belongs into nobody's task log."""
    return asyncio.create_task(coroutine, context=contextvars.Context())
