"""Time, injected: what tells it, and what lies in the future."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

Action = Callable[[], None]


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""


class SystemClock:
    def now(self) -> float:
        return time.time()


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:  # 2026-01-01T00:00:00Z
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._now += seconds

    def move_to(self, moment: float) -> None:
        self._now = max(self._now, moment)


class Timeline:
    """Everything that will happen, by time and, at the same time, in the order in which it was planned.

    Nothing is ever removed: an event that no longer applies has to notice that itself (see ``Lifecycle``).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()
        self._moment: float | None = None

    def now(self) -> float:
        """The time; during an event, the time at which it was due, however late it is carried out."""
        return self._clock.now() if self._moment is None else self._moment

    def plan(self, moment: float, action: Action) -> None:
        heapq.heappush(self._heap, (moment, next(self._numbers), action))

    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Nothing of what was planned will happen."""
        self._heap.clear()

    def run_due(self) -> None:
        """Carry out, in order, all that is due."""
        if self._moment is not None:  # called from within an event
            return
        try:
            while self._heap and self._heap[0][0] <= self._clock.now():
                self._moment, _, action = heapq.heappop(self._heap)
                action()
        finally:
            self._moment = None


def rfc3339(moment: float) -> str:
    """The API's form of a time, in milliseconds: of one length, so that texts sort as times do."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> float:
    """:raises ValueError: it is not a time"""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
