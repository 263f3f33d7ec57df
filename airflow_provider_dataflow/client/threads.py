"""Threads of our own for what blocks, so that the event loop and Airflow's threads are left alone."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

#: So many cancels can be under way at the same time, each for as long as the service takes. A thread is
#: only started when all others are at work.
THREADS = 64

_threads: ThreadPoolExecutor
_modules: dict[str, ModuleType] = {}
_importing: dict[str, asyncio.Task[ModuleType]] = {}


def _new_threads() -> None:
    """A forked process has none of its parent's threads, though their pool thinks so."""
    global _threads
    _threads = ThreadPoolExecutor(THREADS, thread_name_prefix="oci-data-flow")


_new_threads()
os.register_at_fork(after_in_child=_new_threads)


def start(work: Callable[[], T]) -> Future[T]:
    """Begin work that blocks. It goes on to its end, whatever becomes of who has asked for it."""
    return _threads.submit(contextvars.copy_context().run, work)


async def in_thread(work: Callable[[], T]) -> T:
    """As ``asyncio.to_thread``, which has about six threads on two cores and all of Airflow to share them.

    A triggerer writes its log lines with those: if they all wait for a service, it is deaf to kills.
    """
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(_threads, run, work)


async def module(name: str) -> Any:
    """Import a module, in a thread, once for all who ask: aiohttp and the SDK take long."""
    if (found := _modules.get(name)) is not None:
        return found
    importing = _importing.get(name)
    if importing is None or importing.done() or importing.get_loop() is not asyncio.get_running_loop():
        importing = _importing[name] = asyncio.create_task(in_thread(partial(import_module, name)))
    # One who leaves meanwhile does not take it from the others.
    found = _modules[name] = await asyncio.shield(importing)
    return found
