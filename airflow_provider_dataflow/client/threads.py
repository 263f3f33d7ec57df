"""Threads of our own for what blocks, so that the event loop and Airflow's threads are left alone."""

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

#: So many cancels can be under way at the same time, each for as long as the service takes. A thread is
#: only started when all others are at work.
THREADS = 64

_threads: ThreadPoolExecutor
#: For what must not stand in line behind others, whose services may take long to answer.
_urgent: ThreadPoolExecutor
#: The loop that a thread of ours works for.
_of_thread = threading.local()
_loop_binding: Callable[[asyncio.AbstractEventLoop], Callable[[], None]] | None = None

_modules: dict[str, ModuleType] = {}
_importing: dict[str, asyncio.Task[ModuleType]] = {}


def _new_threads() -> None:
    """A forked process has none of its parent's threads, though their pool thinks so."""
    global _threads, _urgent
    _threads = ThreadPoolExecutor(THREADS, thread_name_prefix="oci-data-flow")
    _urgent = ThreadPoolExecutor(THREADS, thread_name_prefix="oci-data-flow-urgent")


_new_threads()
os.register_at_fork(after_in_child=_new_threads)


def start(work: Callable[[], T], *, urgent: bool = False) -> Future[T]:
    """Begin work that blocks. It goes on to its end, whatever becomes of who has asked for it."""
    threads = _urgent if urgent else _threads
    return threads.submit(contextvars.copy_context().run, known_to_loop(work))


async def in_thread(work: Callable[[], T]) -> T:
    """As ``asyncio.to_thread``, which has about six threads on two cores and all of Airflow to share them.

    A triggerer writes its log lines with those: if they all wait for a service, it is deaf to kills.
    """
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(_threads, run, known_to_loop(work))


def answer_within(seconds: float, question: Callable[[], T]) -> T:
    """Ask in a thread of its own, and do not wait for longer.

    :raises TimeoutError: there was no answer in time.
    """
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            answer.set_exception(error)

    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(known_to_loop(ask),), daemon=True).start()
    return answer.result(seconds)


def set_loop_binding(binding: Callable[[asyncio.AbstractEventLoop], Callable[[], None]]) -> None:
    """Set what binds a thread to the event loop that it works for; ``compat`` knows what Airflow needs.

    :param binding: called with the loop, before the thread starts. Returns what the thread calls first.
    """
    global _loop_binding
    _loop_binding = binding


def known_to_loop(work: Callable[P, T]) -> Callable[P, T]:
    """Return ``work`` for a thread, bound to the running event loop or to the loop of this thread."""
    try:
        loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        loop = getattr(_of_thread, "loop", None)
    if loop is None:
        return work
    bind = _loop_binding(loop) if _loop_binding is not None else None

    def known(*args: P.args, **kwargs: P.kwargs) -> T:
        _of_thread.loop = loop
        if bind is not None:
            bind()
        return work(*args, **kwargs)

    return known


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
