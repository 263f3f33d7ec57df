"""Helpers for code that shares the event loop with all triggers of a process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

from airflow_provider_dataflow.polling import MAX_BLOCK_SECONDS, MAX_STARTS_PER_ITERATION


class LoopYielder:
    """Lets other coroutines run during a long loop."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def yield_if_due(self) -> None:
        """Yield to the event loop after 5 ms of work."""
        if time.perf_counter() - self._since > MAX_BLOCK_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


class _Starts:
    """Lets a limited number of coroutines continue in each iteration of an event loop."""

    def __init__(self) -> None:
        self._started = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        loop = asyncio.get_running_loop()
        if self._started == MAX_STARTS_PER_ITERATION:
            self._waiting.append(loop.create_future())
            await self._waiting[-1]
            return
        if self._started == 0:
            loop.call_soon(self._continue)
        self._started += 1

    def _continue(self) -> None:
        self._started = 0
        while self._waiting and self._started < MAX_STARTS_PER_ITERATION:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                self._started += 1
        if self._started:
            asyncio.get_running_loop().call_soon(self._continue)


_starts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Starts] = WeakKeyDictionary()


async def wait_for_start() -> None:
    """Wait for a share of an iteration, so that thousands that wake together do not block the loop."""
    await _starts.setdefault(asyncio.get_running_loop(), _Starts()).wait()


def job_error(error: BaseException) -> BaseException:
    """Return the error if it concerns one job only; raise it if it must end the task or the process.

    Airflow raises errors that are no ``Exception``. A ``CancelledError`` concerns the job only if something
    that it awaited was cancelled, and not the task itself.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        raise error
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    return error
