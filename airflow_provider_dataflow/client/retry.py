"""Timeouts and retries of requests.

The asynchronous client does not retry: the next poll follows anyway.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, stop_after_attempt, stop_after_delay
from tenacity.retry import retry_if_exception

from airflow_provider_dataflow.exceptions import ServiceError

#: Timeouts of one attempt: to connect, and to wait for the response.
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60

#: Longest ``Retry-After`` that is believed: a longer one would stop all waits of the connection. The service
#: itself sends one minute at most.
MAX_RETRY_AFTER_SECONDS = 600


@dataclass(frozen=True)
class RetryPolicy:
    """Limits and pauses of retries.

    :param max_attempts: attempts, the first included.
    :param max_seconds: seconds since the first attempt after which none begins. Also the longest pause for a
        ``Retry-After``.
    :param first_pause_seconds: pause before the second attempt. It doubles with each attempt.
    :param max_pause_seconds: longest pause without a ``Retry-After``.
    :param sleep: sleeps for a number of seconds.
    """

    max_attempts: int = 5
    max_seconds: float = 60
    first_pause_seconds: float = 0.5
    max_pause_seconds: float = 20
    sleep: Callable[[float], None] = time.sleep

    def pause(self, state: RetryCallState) -> float:
        """Return the seconds until the next attempt, with jitter; not less than ``Retry-After``."""
        backoff = min(self.first_pause_seconds * 2 ** (state.attempt_number - 1), self.max_pause_seconds)
        error = state.outcome.exception() if state.outcome else None
        requested = error.retry_after if isinstance(error, ServiceError) and error.retry_after else 0
        return max(backoff * random.uniform(0.75, 1.25), min(requested, self.max_seconds))  # noqa: S311

    def retrying(self) -> Retrying:
        """Return a loop for requests that are safe to repeat: reads, cancels, submits with a retry token."""
        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, ServiceError) and error.is_transient),
            stop=stop_after_attempt(self.max_attempts) | stop_after_delay(self.max_seconds),
            wait=self.pause,
            sleep=self.sleep,
            reraise=True,
        )


def retry_after(headers: object) -> float | None:
    """Return the seconds of the header ``Retry-After``. The service never sends its other form, a date."""
    value = getattr(headers, "get", lambda _: None)("retry-after")
    try:
        seconds = float(value) if value is not None else math.nan
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if seconds <= MAX_RETRY_AFTER_SECONDS else None
