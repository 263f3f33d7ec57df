"""Cursor into a run's logs: which logs to download, and which of their lines are new. No I/O.

The service returns whole logs only. So a log is downloaded again only if its size has changed, and downloads
become less frequent the less they bring and the longer they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_dataflow.client.logs.read import MAX_LINE_BYTES, logs_of_type
from airflow_provider_dataflow.models.run import RunLog


@dataclass(frozen=True)
class LogLimits:
    """Limits of the copy of a log.

    :param head_bytes: bytes from the start of a log, which are copied while it grows.
    :param tail_bytes: bytes from the end of a log, which are copied when it is complete.
    :param max_line_bytes: a longer line is split.
    """

    head_bytes: int = 4 * 1024 * 1024
    tail_bytes: int = 1024 * 1024
    max_line_bytes: int = MAX_LINE_BYTES


class LogCursor:
    """Position in each log of a run, up to which it has been copied.

    :param offsets: bytes of decompressed text by name of the log; the :meth:`as_dict` of an earlier cursor,
        also from another process.
    """

    limits = LogLimits()

    def __init__(self, offsets: Mapping[str, int] | None = None) -> None:
        self._offsets = {str(name): max(int(offset), 0) for name, offset in (offsets or {}).items()}
        self._sizes: dict[str, int | None] = {}

    def as_dict(self) -> dict[str, int]:
        """Return the offsets as plain JSON: names of logs and numbers."""
        return dict(self._offsets)

    def logs_to_read(self, logs: Sequence[RunLog], *, final: bool = False) -> list[RunLog]:
        """Return the logs to read: stdout before stderr, oldest first.

        These are the application's logs, which the service has only after the run has ended. Until then, they
        are the driver's, which also contain Spark's own lines.

        :param final: the logs no longer grow.
        """
        found: list[RunLog] = []
        for source in ("APPLICATION", "DRIVER"):
            found = found or [
                log for type in ("STDOUT", "STDERR") for log in logs_of_type(logs, source, type)
            ]
        return [log for log in found if final or self._may_have_more(log)]

    def _may_have_more(self, log: RunLog) -> bool:
        if log.size_in_bytes == 0 or self.offset(log.name) >= self.limits.head_bytes:
            return False
        return log.size_in_bytes is None or self._sizes.get(log.name) != log.size_in_bytes

    def read(self, log: RunLog, *, final: bool = False) -> LogReading:
        """Start to read a log from its first byte."""
        return LogReading(self, log, final)

    def offset(self, name: str) -> int:
        return self._offsets.get(name, 0)

    def _move(self, name: str, offset: int) -> None:
        self._offsets[name] = offset

    def _has_read(self, log: RunLog) -> None:
        self._sizes[log.name] = log.size_in_bytes


class LogReading:
    """One pass over a log. Call :meth:`feed` while it :attr:`wants_more`, then :meth:`finish`."""

    def __init__(self, cursor: LogCursor, log: RunLog, final: bool) -> None:
        self.log = log
        self.final = final
        #: Offset of the next line.
        self.position = cursor.offset(log.name)
        #: Bytes of the log so far.
        self.received = 0
        self._cursor = cursor
        self._limits = cursor.limits
        self._start = self.position
        self._line = bytearray()
        self._tail = bytearray()
        self._bytes_after_head = 0

    @property
    def wants_more(self) -> bool:
        """Whether the rest of the log is needed."""
        return self.final or self.received < max(self._limits.head_bytes, self._start)

    def feed(self, chunk: bytes) -> list[str]:
        """Process the next bytes, and return the lines that are new and complete."""
        old = min(max(self._start - self.received, 0), len(chunk))
        new = memoryview(chunk)[old:]
        head = max(self._limits.head_bytes - self.received - old, 0)
        self.received += len(chunk)
        self._line += new[:head]
        if self.final:
            self._bytes_after_head += len(new[head:])
            self._tail += new[head:]
            if len(self._tail) > 2 * self._limits.tail_bytes:
                del self._tail[: -self._limits.tail_bytes]
        return self._complete_lines()

    def finish(self) -> list[str]:
        """Return the remaining lines, and move the cursor.

        :raises LogShrunk: the log is shorter than the part that was copied, so the service has replaced it.
            Read it again; the cursor is at its start.
        """
        if self.received < self._start:
            self._cursor._move(self.log.name, 0)
            raise LogShrunk
        result = self._end_of_log() if self.final else self._end_of_head()
        self._cursor._has_read(self.log)
        return result

    def _end_of_head(self) -> list[str]:
        if self.received < self._limits.head_bytes or self._start >= self._limits.head_bytes:
            return []  # the rest may be an incomplete line
        return [*self._rest(), f"... the rest of {self.log.name} follows when the run has ended ..."]

    def _end_of_log(self) -> list[str]:
        skipped = self._bytes_after_head - self._limits.tail_bytes
        if skipped <= 0:
            self._line += self._tail
            return [*self._complete_lines(), *self._rest()]
        result = self._rest()
        end = self._tail[-self._limits.tail_bytes :]
        # Start with a whole line, unless there is only one.
        cut = end.find(b"\n") + 1
        skipped += cut
        self._line = end[cut:]
        self.position += skipped
        return [
            *result,
            f"... {skipped} bytes of {self.log.name} omitted ...",
            *self._complete_lines(),
            *self._rest(),
        ]

    def _complete_lines(self) -> list[str]:
        end = self._line.rfind(b"\n") + 1
        result = [piece for line in self._line[:end].splitlines() for piece in self._split(line)]
        self._drop(end)
        while len(self._line) > self._limits.max_line_bytes:
            cut = self._split_position(self._line)
            result.append(_text(self._line[:cut]))
            self._drop(cut)
        return result

    def _rest(self) -> list[str]:
        result = [_text(self._line)] if self._line else []
        self._drop(len(self._line))
        return result

    def _drop(self, count: int) -> None:
        self.position += count
        # Lines that were returned are not returned again, even if the rest of the log cannot be read.
        self._cursor._move(self.log.name, self.position)
        del self._line[:count]

    def _split(self, line: bytes | bytearray) -> Iterable[str]:
        while len(line) > self._limits.max_line_bytes:
            cut = self._split_position(line)
            yield _text(line[:cut])
            line = line[cut:]
        yield _text(line)

    def _split_position(self, line: bytes | bytearray) -> int:
        """Return where to split a long line, which is not within a UTF-8 character."""
        limit = self._limits.max_line_bytes
        for cut in range(limit, limit - 4, -1):
            if line[cut] & 0xC0 != 0x80:
                return cut
        return limit


class LogShrunk(Exception):
    """A log is shorter than before, so the service has replaced it."""


def _text(line: bytes | bytearray) -> str:
    return line.decode(errors="replace").replace("\0", "")


class LogPollBackoff:
    """Pause between two polls of a run's logs: longer if there is nothing new, or if logs are long."""

    min_pause_seconds = 10.0
    max_pause_seconds = 120.0
    growth = 1.5
    pause_seconds_per_byte = 10.0 / (1024 * 1024)

    def __init__(self) -> None:
        self.pause = self.min_pause_seconds

    def next_pause(self, received: int | None) -> float:
        """Return the seconds until the next poll.

        :param received: bytes that the last poll downloaded; ``None``: nothing was new, or the poll failed.
        """
        if received is None:
            self.pause = min(self.pause * self.growth, self.max_pause_seconds)
        else:
            pause = max(self.min_pause_seconds, received * self.pause_seconds_per_byte)
            self.pause = min(pause, self.max_pause_seconds)
        return self.pause
