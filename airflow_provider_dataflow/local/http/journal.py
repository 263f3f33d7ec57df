"""Journal of the requests that the service received and of its responses, for tests and the console."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Request and its response.

    :param resource_id: resource that the request named or created
    :param status: HTTP status of the response; 0: the connection was closed without a response
    :param code: error code of the response
    :param notes: further facts from the handler, such as the fault that was applied
    """

    number: int
    time: float
    operation: str
    method: str
    target: str
    status: int
    resource_id: str | None
    user: str | None
    user_agent: str | None
    request_id: str
    retry_token: str | None
    code: str | None
    notes: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The newest entries, in memory."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=MAX_ENTRIES)
        self._number = 0

    def add(self, **values: Any) -> None:
        self._number += 1
        self._entries.append(JournalEntry(number=self._number, **values))

    def clear(self) -> None:
        self._entries.clear()

    def select(
        self, *, operation: str | None = None, resource_id: str | None = None, after: int = 0
    ) -> Iterator[JournalEntry]:
        """Yield the entries that match, oldest first.

        :param after: only entries with a larger number
        """
        for entry in self._entries:
            if operation is not None and entry.operation != operation:
                continue
            if resource_id is not None and entry.resource_id != resource_id:
                continue
            if entry.number > after:
                yield entry

    def as_json(self, entries: Iterator[JournalEntry]) -> dict[str, Any]:
        found = list(entries)
        return {"entries": [asdict(e) for e in found], "counts": dict(Counter(e.operation for e in found))}
