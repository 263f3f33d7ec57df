"""Threads of our own for what blocks, so that the event loop and Airflow's threads are left alone."""

from __future__ import annotations

import asyncio
import contextvars
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

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="oci-data-flow")
_modules: dict[str, ModuleType] = {}


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
    """Import a module, in a thread the first time: aiohttp and the SDK take long."""
    found = _modules.get(name)
    if found is None:
        found = _modules[name] = await in_thread(partial(import_module, name))
    return found
