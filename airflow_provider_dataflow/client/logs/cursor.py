"""What to read of a run's logs, and what of it is new. Pure: nothing is fetched or written here.

The service hands out whole logs only, so each look costs as much as the log is long. Therefore a log is read
again only if its size has changed, and looks become rarer the less they find and the more they cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from airflow_provider_dataflow.client.logs.read import named
from airflow_provider_dataflow.models.run import RunLog

#: Of each log, so many bytes from its begin are copied as they come, and so many of its end when it is final.
HEAD_BYTES = 4 * 1024 * 1024
TAIL_BYTES = 1024 * 1024
#: A longer line is copied in pieces.
MAX_LINE_BYTES = 32 * 1024

#: Seconds between two looks.
MIN_PAUSE = 10.0
MAX_PAUSE = 120.0
PAUSE_GROWTH = 1.5
PAUSE_PER_BYTE = 10.0 / (1024 * 1024)


class LogCursor:
    """How far each log of a run has been copied.

    :param offsets: by the name of a log, bytes of its decompressed text. What :meth:`as_dict` has given, in
        this process or in another one, goes on there.
    """

    def __init__(self, offsets: Mapping[str, int] | None = None) -> None:
        self._offsets = {str(name): max(int(offset), 0) for name, offset in (offsets or {}).items()}
        self._sizes: dict[str, int | None] = {}

    def as_dict(self) -> dict[str, int]:
        """Plain JSON; it holds nothing but names and numbers."""
        return dict(self._offsets)

    def due(self, logs: Sequence[RunLog], *, final: bool = False) -> list[RunLog]:
        """Which of the logs have to be read: stdout before stderr, oldest first.

        They are the application's; the driver's own, which Spark writes much into, stand in for them as long
        as there are none: the service has the application's logs only when the run has ended.

        :param final: the logs will not grow any more.
        """
        found: list[RunLog] = []
        for source in ("APPLICATION", "DRIVER"):
            found = found or [log for kind in ("STDOUT", "STDERR") for log in named(logs, source, kind)]
        return [log for log in found if final or self._may_have_more(log)]

    def _may_have_more(self, log: RunLog) -> bool:
        if log.size_in_bytes == 0 or self.offset(log.name) >= HEAD_BYTES:
            return False
        return log.size_in_bytes is None or self._sizes.get(log.name) != log.size_in_bytes

    def read(self, log: RunLog, *, final: bool = False) -> LogReading:
        """Begin to read a log, from its first byte on."""
        return LogReading(self, log, final)

    def offset(self, name: str) -> int:
        return self._offsets.get(name, 0)

    def _move(self, name: str, offset: int) -> None:
        self._offsets[name] = offset

    def _has_read(self, log: RunLog) -> None:
        self._sizes[log.name] = log.size_in_bytes


class LogReading:
    """One pass over a log: :meth:`feed` it while it wants more, then :meth:`finish` it."""

    def __init__(self, cursor: LogCursor, log: RunLog, final: bool) -> None:
        self.log = log
        self.final = final
        #: Where the next line begins.
        self.position = cursor.offset(log.name)
        #: Bytes of the log that have come.
        self.received = 0
        self._cursor = cursor
        self._start = self.position
        self._line = bytearray()
        self._tail = bytearray()
        self._behind_head = 0

    @property
    def wants_more(self) -> bool:
        """Whether the rest of the log is needed."""
        return self.final or self.received < max(HEAD_BYTES, self._start)

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes; give the lines that are new and complete."""
        old = min(max(self._start - self.received, 0), len(chunk))
        new = memoryview(chunk)[old:]
        room = max(HEAD_BYTES - self.received - old, 0)
        self.received += len(chunk)
        self._line += new[:room]
        if self.final:
            self._behind_head += len(new[room:])
            self._tail += new[room:]
            if len(self._tail) > 2 * TAIL_BYTES:
                del self._tail[:-TAIL_BYTES]
        return self._complete_lines()

    def finish(self) -> list[str]:
        """The log has ended, for now or for good, or no more of it is wanted.

        :raises LogShrunk: the log is shorter than what had been copied of it, so it is another one. It is to
            be read again, from its begin.
        """
        if self.received < self._start:
            self._cursor._move(self.log.name, 0)
            raise LogShrunk
        result = self._end_of_log() if self.final else self._end_of_head()
        self._cursor._has_read(self.log)
        return result

    def _end_of_head(self) -> list[str]:
        if self.received < HEAD_BYTES or self._start >= HEAD_BYTES:
            return []  # what is left may be the begin of a line
        return [*self._rest(), f"... more of {self.log.name} follows when the run has ended ..."]

    def _end_of_log(self) -> list[str]:
        skipped = self._behind_head - TAIL_BYTES
        if skipped <= 0:
            self._line += self._tail
            return [*self._complete_lines(), *self._rest()]
        result = self._rest()
        end = self._tail[-TAIL_BYTES:]
        # Not in the middle of a line, unless there is but one.
        cut = end.find(b"\n") + 1
        skipped += cut
        self._line = end[cut:]
        self.position += skipped
        return [
            *result,
            f"... {skipped} bytes of {self.log.name} are left out ...",
            *self._complete_lines(),
            *self._rest(),
        ]

    def _complete_lines(self) -> list[str]:
        end = self._line.rfind(b"\n") + 1
        result = [piece for line in self._line[:end].splitlines() for piece in _pieces(line)]
        self._drop(end)
        while len(self._line) > MAX_LINE_BYTES:
            cut = _cut(self._line)
            result.append(_text(self._line[:cut]))
            self._drop(cut)
        return result

    def _rest(self) -> list[str]:
        result = [_text(self._line)] if self._line else []
        self._drop(len(self._line))
        return result

    def _drop(self, count: int) -> None:
        self.position += count
        # What has been given out is not given out again, even if the rest of the log cannot be read.
        self._cursor._move(self.log.name, self.position)
        del self._line[:count]


class LogShrunk(Exception):
    """A log is shorter than it was: the service has put another one in its place."""


def _pieces(line: bytes | bytearray) -> Iterable[str]:
    while len(line) > MAX_LINE_BYTES:
        cut = _cut(line)
        yield _text(line[:cut])
        line = line[cut:]
    yield _text(line)


def _cut(line: bytes | bytearray) -> int:
    """Where to cut a long line: not within a character of UTF-8."""
    for cut in range(MAX_LINE_BYTES, MAX_LINE_BYTES - 4, -1):
        if line[cut] & 0xC0 != 0x80:
            return cut
    return MAX_LINE_BYTES


def _text(line: bytes | bytearray) -> str:
    return line.decode(errors="replace").replace("\0", "")


class Pace:
    """When to look again."""

    def __init__(self) -> None:
        self.pause = MIN_PAUSE

    def after(self, received: int | None) -> float:
        """Seconds until the next look.

        :param received: bytes that this one has cost; ``None``: there was nothing new, or it failed.
        """
        if received is None:
            self.pause = min(self.pause * PAUSE_GROWTH, MAX_PAUSE)
        else:
            self.pause = min(max(MIN_PAUSE, received * PAUSE_PER_BYTE), MAX_PAUSE)
        return self.pause
