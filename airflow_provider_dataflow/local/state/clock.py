"""Time, injected: what tells it, and what lies in the future."""

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


@dataclass(slots=True)
class _Event:
    action: Action | None  # None: called off
    key: tuple[str, str] | None


class Timeline:
    """Everything that will happen, by time and, at the same time, in the order in which it was planned."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, _Event]] = []
        self._numbers = itertools.count()
        # By whom they concern, and what they are.
        self._of: dict[str, dict[str, _Event]] = {}
        self._moment: float | None = None
        # Called whenever the next due event may have come nearer.
        self.on_plan: Callable[[], None] = lambda: None
        # Around each event.
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext

    def now(self) -> float:
        """The time; during an event, the time at which it was due, however late it is carried out."""
        return self._clock.now() if self._moment is None else self._moment

    def plan(self, moment: float, action: Action, key: tuple[str, str] | None = None) -> None:
        """
        :param key: whom it concerns, such as the id of a run, and what it is: replaces what was planned for
            the same, and can be called off
        """
        event = _Event(action, key)
        if key is not None:
            self.call_off(*key)
            self._of.setdefault(key[0], {})[key[1]] = event
        heapq.heappush(self._heap, (moment, next(self._numbers), event))
        self.on_plan()

    def call_off(self, whom: str, what: str | None = None) -> None:
        """It will not happen; without ``what``, nothing will that concerns them."""
        events = self._of.get(whom, {})
        for name in [*events] if what is None else [what]:
            if (event := events.pop(name, None)) is not None:
                event.action = None
        if not events:
            self._of.pop(whom, None)

    def next_due(self) -> float | None:
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Nothing of what was planned will happen."""
        self._heap.clear()
        self._of.clear()

    def run_due(self) -> None:
        """Carry out, in order, all that is due."""
        if self._moment is not None:  # called from within an event
            return
        try:
            while self._heap and self._heap[0][0] <= self._clock.now():
                self._moment, _, event = heapq.heappop(self._heap)
                action = event.action
                if action is None:
                    continue
                if event.key is not None:
                    self.call_off(*event.key)  # it happens, and is no longer to come
                with self.around():
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
