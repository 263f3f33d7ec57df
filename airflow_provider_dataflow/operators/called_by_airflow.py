"""Decorator of the methods of operators and sensors that Airflow calls in a worker."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from airflow_provider_dataflow.exceptions import DataFlowError

R = TypeVar("R")


def called_by_airflow(method: Callable[..., R]) -> Callable[..., R]:
    """Let the task's log end with this package's error alone, and push links only once.

    Errors of this package are raised without their causes: their messages say what happened, and the
    tracebacks of the SDK and of handled errors would bury them. Causes of other errors are kept.

    The operators push their links as soon as they know them. At the end of a task, Airflow would push all
    links again, and an empty XCom for each link without a value.
    """

    @wraps(method)
    def wrapper(task: Any, *args: Any, **kwargs: Any) -> R:
        task.operator_extra_links = ()
        try:
            return method(task, *args, **kwargs)
        except DataFlowError as error:
            raise error from None

    return wrapper
