"""The way from Airflow into a task: its error ends the log with its own message, its links are its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from airflow_provider_dataflow.compat import TaskDeferralTimeout
from airflow_provider_dataflow.exceptions import DataFlowError, sentences

R = TypeVar("R")


def entry_point(method: Callable[..., R]) -> Callable[..., R]:
    """Wrap a method of an operator or sensor that Airflow calls in a worker.

    Errors of this package are raised without their causes. Their messages say what the causes did; the
    tracebacks of the SDK, and the errors that were handled on the way, would only bury them. Causes of other
    errors are kept.

    The links are pushed as soon as they are known. When a task ends, Airflow would push all of them again,
    and those that have no value as empty ones.
    """

    @wraps(method)
    def wrapper(task: Any, *args: Any, **kwargs: Any) -> R:
        task.operator_extra_links = ()
        try:
            return method(task, *args, **kwargs)
        except DataFlowError as error:
            raise error from None

    return wrapper


def trigger_error(error: Exception, next_kwargs: Mapping[str, Any] | None, about: str) -> DataFlowError:
    """The error of a task whose trigger has failed, or has not answered in time.

    :param about: what the trigger has waited for, with its id.
    """
    if isinstance(error, TaskDeferralTimeout):
        return DataFlowError(
            f"The trigger that waited for {about} has not answered in time: is a triggerer running? Clear "
            "the task to wait again."
        )
    cause = trigger_failure(error, next_kwargs)
    return DataFlowError(
        sentences(f"The trigger that waited for {about} has failed: {cause}", "Clear the task to wait again.")
    )


def trigger_failure(error: Exception, next_kwargs: Mapping[str, Any] | None) -> str:
    """What made a trigger fail; Airflow's own error says only that it did.

    :param next_kwargs: as Airflow resumes the task with, which has the trigger's traceback.
    """
    lines = (next_kwargs or {}).get("traceback") or []
    text = "".join(lines) if isinstance(lines, list) else str(lines)
    # The traceback's last line that is not indented names the error; a message may have more lines.
    headlines = [line for line in text.splitlines() if line[:1].strip()]
    cause = headlines[-1] if headlines else str(error)
    return sentences(cause.removeprefix("airflow_provider_dataflow.exceptions."))
