"""How fast all requests of a connection may follow each other."""

from __future__ import annotations

#: Seconds in which the pace goes back from nothing to its limit.
RECOVERY = 120.0
#: Requests per second, however often the service says that it is too many.
SLOWEST = 0.2


class Pace:
    """Evenly spaced requests, at most ``limit`` per second; half as many after each 429, gently more later.

    Pure: the time is given to it. :meth:`delay` says how long to wait; who then sends says :meth:`sent`.

    :param limit: requests per second.
    """

    def __init__(self, limit: float) -> None:
        if limit <= 0:
            raise ValueError(f"the limit must be above 0 requests per second, not {limit}")
        self.limit = limit
        self._rate = limit
        self._rate_at = 0.0
        self._next = 0.0
        self._slowed_at = float("-inf")

    def rate(self, now: float) -> float:
        """Requests per second at the moment."""
        grown = self.limit * max(0.0, now - self._rate_at) / RECOVERY
        return min(self.limit, self._rate + grown)

    def delay(self, now: float) -> float:
        """Seconds until the next request may be sent."""
        return max(0.0, self._next - now)

    def sent(self, now: float) -> None:
        self._next = max(now, self._next) + 1 / self.rate(now)

    def throttled(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """The service said 429, or to come back later.

        :param sent_at: when the request was sent: several that were under way together count once.
        """
        pause = retry_after if retry_after is not None else 1 / self.rate(now)
        if sent_at >= self._slowed_at:
            self._rate = max(min(SLOWEST, self.limit), self.rate(now) / 2)
            self._slowed_at = now
        # It recovers only from the end of the pause on.
        self._rate_at = max(self._rate_at, now + pause)
        self._next = max(self._next, now + pause)
