"""Clocks, and the timeline of planned events."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
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
    """Clock that only a test moves."""

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


@dataclass(slots=True)
class _Event:
    action: Action | None  # None: cancelled
    key: tuple[str, str] | None


class Timeline:
    """Planned events, by time; events at the same time in the order in which they were planned."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, _Event]] = []
        self._numbers = itertools.count()
        # Events by resource id and name.
        self._by_key: dict[str, dict[str, _Event]] = {}
        self._moment: float | None = None
        # Called after an event was planned.
        self.on_planned: Callable[[], None] = lambda: None
        # Context in which each event is carried out.
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext

    def now(self) -> float:
        """Return the time. During an event, this is when it was due, even if it is carried out later."""
        return self._clock.now() if self._moment is None else self._moment

    def plan(self, moment: float, action: Action, key: tuple[str, str] | None = None) -> None:
        """Plan an event.

        :param key: id of a resource and name of the event. Replaces a planned event with the same key.
        """
        event = _Event(action, key)
        if key is not None:
            self.cancel(*key)
            self._by_key.setdefault(key[0], {})[key[1]] = event
        heapq.heappush(self._heap, (moment, next(self._numbers), event))
        self.on_planned()

    def cancel(self, resource_id: str, name: str | None = None) -> None:
        """Cancel a planned event, or all events of a resource."""
        events = self._by_key.get(resource_id, {})
        for each in [*events] if name is None else [name]:
            if (event := events.pop(each, None)) is not None:
                event.action = None
        if not events:
            self._by_key.pop(resource_id, None)

    def next_due(self) -> float | None:
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Cancel all events."""
        self._heap.clear()
        self._by_key.clear()

    def run_due(self) -> None:
        """Carry out the events that are due, in order."""
        if self._moment is not None:  # called from within an event
            return
        try:
            while self._heap and self._heap[0][0] <= self._clock.now():
                self._moment, _, event = heapq.heappop(self._heap)
                action = event.action
                if action is None:
                    continue
                if event.key is not None:
                    self.cancel(*event.key)
                with self.around():
                    action()
        finally:
            self._moment = None


def rfc3339(moment: float) -> str:
    """Format a time as the API does, in milliseconds. All have the same length, so that they sort as text."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> float:
    """Parse a time.

    :raises ValueError: the text is not a time.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
