"""The journal: which requests came, from whom, and how they were answered. For tests and for the curious."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

CAPACITY = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    time: float
    operation: str
    method: str
    target: str
    status: int
    # The resource that was asked for, or that was created.
    resource_id: str | None
    user: str | None
    user_agent: str | None
    request_id: str
    retry_token: str | None
    code: str | None  # of an error
    notes: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The last requests, in memory."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=CAPACITY)
        self._number = 0

    def add(self, **values: Any) -> None:
        self._number += 1
        self._entries.append(Entry(number=self._number, **values))

    def clear(self) -> None:
        self._entries.clear()

    def select(
        self, *, operation: str | None = None, resource_id: str | None = None, after: int = 0
    ) -> Iterator[Entry]:
        for entry in self._entries:
            if operation is not None and entry.operation != operation:
                continue
            if resource_id is not None and entry.resource_id != resource_id:
                continue
            if entry.number > after:
                yield entry

    def as_json(self, entries: Iterator[Entry]) -> dict[str, Any]:
        found = list(entries)
        return {"entries": [asdict(e) for e in found], "counts": dict(Counter(e.operation for e in found))}
