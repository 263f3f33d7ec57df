"""Helpers for code that shares the event loop with all triggers of a process."""

from __future__ import annotations

import asyncio
import time

MAX_BLOCK_SECONDS = 0.005


class LoopYielder:
    """Lets other coroutines run during a long loop."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def yield_if_due(self) -> None:
        """Yield to the event loop after 5 ms of work."""
        if time.perf_counter() - self._since > MAX_BLOCK_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


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
