"""Rate limit for the requests of a connection, with backoff after a 429."""

from __future__ import annotations

#: Time in which the rate grows from 0 to its limit again.
RECOVERY_SECONDS = 120.0
#: Requests per second that are always allowed, however often the service responds with 429.
MIN_RATE = 0.2


class RateLimit:
    """Evenly spaced requests, at most ``limit`` per second; each 429 halves the rate, which then recovers.

    Pure: callers pass the time, on one monotonic clock, in seconds. Wait for :meth:`delay`, send, then call
    :meth:`record_request`.

    :param limit: requests per second.
    """

    def __init__(self, limit: float) -> None:
        if limit <= 0:
            raise ValueError(f"limit: expected more than 0 requests per second, got {limit}")
        self.limit = limit
        self._rate = limit
        self._rate_at = 0.0
        self._next_request_at = 0.0
        self._throttled_at = float("-inf")

    def rate(self, now: float) -> float:
        """Return the requests per second that are allowed now."""
        recovered = self.limit * max(0.0, now - self._rate_at) / RECOVERY_SECONDS
        return min(self.limit, self._rate + recovered)

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may be sent."""
        return max(0.0, self._next_request_at - now)

    def record_request(self, now: float) -> None:
        """Count a request that is sent now."""
        self._next_request_at = max(now, self._next_request_at) + 1 / self.rate(now)

    def record_throttle(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """Back off after a 429 or a ``Retry-After``.

        :param sent_at: when the request was sent. Requests that were in flight together halve the rate once.
        :param retry_after: seconds.
        """
        pause = retry_after if retry_after is not None else 1 / self.rate(now)
        if sent_at >= self._throttled_at:
            self._rate = max(min(MIN_RATE, self.limit), self.rate(now) / 2)
            self._throttled_at = now
        # Recovery starts when the pause ends.
        self._rate_at = max(self._rate_at, now + pause)
        self._next_request_at = max(self._next_request_at, now + pause)
