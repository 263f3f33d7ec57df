"""Rate limit for all requests of a connection in a triggerer process, with backoff after a 429."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable
from weakref import WeakValueDictionary

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import (
    MAX_OTHERS_AHEAD,
    MAX_RATE_LIMIT_WAIT_SECONDS,
    MIN_REQUESTS_PER_SECOND,
    RATE_RECOVERY_SECONDS,
)


class RateLimit:
    """Evenly spaced requests, at most ``limit`` per second; each 429 halves the rate, which then recovers.

    Shared by the poller on the event loop and by threads. Callers pass the time of one monotonic clock, in
    seconds.

    :param limit: requests per second.
    """

    def __init__(self, limit: float) -> None:
        if limit <= 0:
            raise ValueError(f"limit: expected more than 0 requests per second, got {limit}")
        self.limit = limit
        self._rate = limit
        self._rate_at = 0.0
        #: Earliest time of the next request that is not reserved yet.
        self._free_at = 0.0
        self._paused_until = 0.0
        self._throttled_at = float("-inf")
        self._lock = threading.Lock()
        # One thread reserves at a time, as the event loop does, so that each gets every second request.
        self._thread_turn = threading.Lock()

    def rate(self, now: float) -> float:
        """Return the requests per second that are allowed now."""
        recovered = self.limit * max(0.0, now - self._rate_at) / RATE_RECOVERY_SECONDS
        return min(self.limit, self._rate + recovered)

    def reserve(self, now: float) -> float:
        """Reserve the next free time for a request, and return the seconds until then.

        A 429 can arrive meanwhile: call :meth:`recheck` before the request is sent.
        """
        with self._lock:
            at = max(now, self._free_at, self._paused_until)
            self._free_at = at + 1 / self.rate(now)
            return at - now

    def recheck(self, now: float) -> float:
        """Return the seconds that a request must wait beyond its reservation, because of a 429 since then."""
        return self.reserve(now) if now < self._paused_until else 0.0

    def wait(self, operation: str) -> None:
        """Block until a request may be sent. For threads.

        :param operation: name of the request.
        :raises ServiceError: as the service has asked for a pause of more than a minute, the request is not
            sent. A thread that waits for so long could not be killed.
        """
        with self._thread_turn:
            self._raise_if_paused_for_long(operation)
            delay = self.reserve(time.monotonic())
            while delay > 0:
                time.sleep(delay)
                self._raise_if_paused_for_long(operation)
                delay = self.recheck(time.monotonic())

    def _raise_if_paused_for_long(self, operation: str) -> None:
        seconds = self._paused_until - time.monotonic()
        if seconds > MAX_RATE_LIMIT_WAIT_SECONDS:
            message = f"not sent, since the service has asked for a pause, of which {seconds:.0f} s are left"
            raise ServiceError(operation=operation, status=429, message=message, retry_after=seconds)

    def record_urgent(self) -> None:
        """Count a request that is sent without waiting: others give way to a few of them."""
        with self._lock:
            now = time.monotonic()
            latest = max(self._free_at, now + MAX_OTHERS_AHEAD / self.rate(now))
            self._free_at = min(max(now, self._free_at) + 1 / self.rate(now), latest)

    def record_error(self, error: ServiceError, now: float, sent_at: float) -> None:
        """Back off if the error is a 429 or has a ``Retry-After``; see :meth:`record_throttle`."""
        if error.status == 429 or error.retry_after is not None:
            self.record_throttle(now, sent_at, error.retry_after)

    def record_throttle(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """Back off after a 429 or a ``Retry-After``.

        :param sent_at: when the request was sent. Requests that were in flight together halve the rate once.
        :param retry_after: seconds.
        """
        with self._lock:
            pause = retry_after if retry_after is not None else 1 / self.rate(now)
            if sent_at >= self._throttled_at:
                self._rate = max(min(MIN_REQUESTS_PER_SECOND, self.limit), self.rate(now) / 2)
                self._throttled_at = now
            # Recovery starts when the pause ends.
            self._rate_at = max(self._rate_at, now + pause)
            self._paused_until = max(self._paused_until, now + pause)


_shared: WeakValueDictionary[Hashable, RateLimit] = WeakValueDictionary()
_shared_lock = threading.Lock()


def _reset_after_fork() -> None:
    """Drop all limits: a forked process sends its own requests, and lacks the threads that hold the locks."""
    global _shared, _shared_lock
    _shared, _shared_lock = WeakValueDictionary(), threading.Lock()


os.register_at_fork(after_in_child=_reset_after_fork)


def shared_rate_limit(key: Hashable, limit: float) -> RateLimit:
    """Return the rate limit of a connection in this process, while a client uses it.

    :param key: identifies the connection.
    :param limit: requests per second, if the rate limit is new.
    """
    with _shared_lock:
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = RateLimit(limit)
        return found
