"""How long a request may take, and when it is sent again.

The asynchronous client sends none again: the poller asks anew anyway.
"""

from __future__ import annotations

import math
import random

from tenacity import RetryCallState, Retrying, stop_after_attempt, stop_after_delay
from tenacity.retry import retry_if_exception

from airflow_provider_dataflow.exceptions import ServiceError

#: Per attempt, in seconds: to connect, and to wait for the answer.
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60

MAX_ATTEMPTS = 5
#: Seconds after which no further attempt is begun.
MAX_DELAY = 60
MAX_WAIT = 20
#: Seconds. The service asks for one minute at most.
MAX_RETRY_AFTER = 600


def wait(state: RetryCallState) -> float:
    """Half a second, doubling, with jitter; the service's ``Retry-After`` wins where it is longer."""
    backoff = min(0.5 * 2 ** (state.attempt_number - 1), MAX_WAIT) * random.uniform(0.75, 1.25)  # noqa: S311
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ServiceError) and error.retry_after else 0
    return max(backoff, min(asked, MAX_DELAY))


def retrying() -> Retrying:
    """For requests that may be repeated: reads, cancels, and submits that carry a retry token."""
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ServiceError) and error.is_transient),
        stop=stop_after_attempt(MAX_ATTEMPTS) | stop_after_delay(MAX_DELAY),
        wait=wait,
        reraise=True,
    )


def retry_after(headers: object) -> float | None:
    """Seconds of the header ``Retry-After``; the service never sends its other form, a date.

    A longer time than ``MAX_RETRY_AFTER`` is not believed: it would stop all waits of the connection.
    """
    value = getattr(headers, "get", lambda _: None)("retry-after")
    try:
        seconds = float(value) if value is not None else math.nan
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if seconds <= MAX_RETRY_AFTER else None
