"""When each job is done: what is due next, and a few at a time."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from airflow_provider_dataflow.client.poller.loop_yielder import Bites
from airflow_provider_dataflow.polling import MAX_CONNECTIONS


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

    :param do: does a job, and says in how many seconds it is due again; ``None``: not by itself.
    """

    def __init__(self, do: Callable[[J], Awaitable[float | None]]) -> None:
        self._do = do
        # What is due when; entries that no longer hold are passed over.
        self._plan: list[tuple[float, int, J]] = []
        self._clear_at = 64
        self._numbers = itertools.count()
        self._planned = asyncio.Event()
        self._ready: deque[J] = deque()
        self._task: asyncio.Task[None] | None = None
        self._workers: set[asyncio.Task[None]] = set()
        # Counted apart: a task that has ended is only known to have at the loop's next turn.
        self._working = 0

    def start(self) -> None:
        """Unless it has begun already."""
        if self._task is None:
            self._task = _in_own_context(self._run())

    def at(self, job: J, due: float) -> None:
        """Do it at that time, unless it is to be done earlier anyway."""
        if due >= job.due:
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

    async def stop(self) -> None:
        """Cancel what is being done, and do no more."""
        tasks = [*self._workers, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
            for _ in range(min(len(self._ready), MAX_CONNECTIONS - self._working)):
                self._working += 1
                worker = _in_own_context(self._work())
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
            try:
                async with asyncio.timeout_at(self._plan[0][0] if self._plan else None):
                    await self._planned.wait()
            except TimeoutError:
                pass

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._ready:
            job = self._ready.popleft()
            pause = await self._do(job)
            job.asking = False
            if pause is not None:
                self.at(job, loop.time() + pause)
        self._working -= 1


def _in_own_context(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that works for all: what it logs belongs into nobody's task log."""
    return asyncio.create_task(coroutine, context=contextvars.Context())
