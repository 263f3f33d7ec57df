"""Tell an error of one job or subscriber from an error that must end the whole task."""

from __future__ import annotations

import asyncio


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
