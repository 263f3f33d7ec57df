"""What is an error of one job or one subscriber, and what is meant for the whole task."""

from __future__ import annotations

import asyncio


def as_fault(error: BaseException) -> BaseException:
    """Return the error if it concerns one job only; raise it if it ends the task or the process.

    Airflow has errors that are no ``Exception``, and what is awaited may be cancelled by others: then the
    task itself is not.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        raise error
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    return error
