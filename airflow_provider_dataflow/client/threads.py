"""Threads for blocking calls, apart from the threads of the event loop and of Airflow."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Limit of concurrent calls, for example of cancels. A pool starts a thread only if all others are busy.
MAX_THREADS = 64
#: Limit of concurrent DNS look-ups. A client has few connections, each with one look-up at a time.
MAX_LOOK_UPS = 8

_threads: ThreadPoolExecutor
#: For calls that must not queue behind slow ones.
_urgent_threads: ThreadPoolExecutor
#: For DNS look-ups, which must not queue behind calls that wait for a service.
_look_up_threads: ThreadPoolExecutor
#: ``loop``: the event loop on whose behalf the current thread works.
_thread_local = threading.local()
_loop_binding: Callable[[asyncio.AbstractEventLoop], Callable[[], None]] | None = None

_modules: dict[str, ModuleType] = {}
_importing: dict[str, asyncio.Task[ModuleType]] = {}


def _create_pools() -> None:
    """Create the thread pools. Also in a forked process, which lacks the threads of its parent's pools."""
    global _threads, _urgent_threads, _look_up_threads
    _threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="oci-data-flow")
    _urgent_threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="oci-data-flow-urgent")
    _look_up_threads = ThreadPoolExecutor(MAX_LOOK_UPS, thread_name_prefix="oci-data-flow-dns")


_create_pools()
os.register_at_fork(after_in_child=_create_pools)


def start(work: Callable[[], T], *, urgent: bool = False) -> Future[T]:
    """Start a blocking call in a thread. It runs to its end even if its caller is cancelled."""
    threads = _urgent_threads if urgent else _threads
    return threads.submit(contextvars.copy_context().run, with_event_loop(work))


async def in_thread(work: Callable[[], T]) -> T:
    """Run a blocking call in a thread, and return its result.

    ``asyncio.to_thread`` has about six threads on two cores, with which a triggerer also writes its log. If
    all of them waited for a service, the triggerer would not see kills.
    """
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(_threads, run, with_event_loop(work))


async def in_look_up_thread(work: Callable[[], T]) -> T:
    """Run a DNS look-up in a thread, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_look_up_threads, work)


def call_with_timeout(seconds: float, work: Callable[[], T]) -> T:
    """Make a blocking call in a new thread, and return its result.

    :raises TimeoutError: the call takes longer. It is not stopped.
    """
    result: Future[T] = Future()

    def call() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - passed on to the caller
            result.set_exception(error)

    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(with_event_loop(call),), daemon=True).start()
    return result.result(seconds)


def set_loop_binding(binding: Callable[[asyncio.AbstractEventLoop], Callable[[], None]]) -> None:
    """Set what binds a thread to the event loop that it works for; ``compat`` knows what Airflow needs.

    :param binding: called with the loop, before the thread starts. Returns what the thread calls first.
    """
    global _loop_binding
    _loop_binding = binding


def with_event_loop(work: Callable[P, T]) -> Callable[P, T]:
    """Return ``work`` for a thread, bound to the running event loop or to the loop of this thread."""
    try:
        loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        loop = getattr(_thread_local, "loop", None)
    if loop is None:
        return work
    bind = _loop_binding(loop) if _loop_binding is not None else None

    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        _thread_local.loop = loop
        if bind is not None:
            bind()
        return work(*args, **kwargs)

    return wrapped


async def import_in_thread(name: str) -> Any:
    """Import a module in a thread, once for concurrent callers. aiohttp and the SDK take long."""
    if (module := _modules.get(name)) is not None:
        return module
    importing = _importing.get(name)
    if importing is None or importing.done() or importing.get_loop() is not asyncio.get_running_loop():
        importing = _importing[name] = asyncio.create_task(in_thread(partial(import_module, name)))
    # Shielded: a caller that is cancelled must not cancel the import for the others.
    module = _modules[name] = await asyncio.shield(importing)
    return module
