"""Decompression and selection of a run's logs."""

from __future__ import annotations

import zlib
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from airflow_provider_dataflow.models.run import RunLog

GZIP_MAGIC = b"\x1f\x8b"
MAX_PIECE_BYTES = 1024 * 1024
#: Longest part of a line that is kept in memory, in a message and in a task's log.
MAX_LINE_BYTES = 32 * 1024

#: Sources of the stderr with the cause of a failure, best first. The application's has the traceback.
STDERR_SOURCES = ("APPLICATION", "DRIVER")


class Gunzip:
    """Decompressor of a log that may be plain already.

    The service stores gzip. It is not documented whether it sets ``Content-Encoding``, with which the HTTP
    client decompresses. So the first bytes decide.
    """

    def __init__(self) -> None:
        self._head = b""
        self._unzip: Any = None
        self._is_plain = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decompressed bytes of a chunk, in pieces of limited length."""
        if not self._is_plain and self._unzip is None:
            chunk = self._head = self._head + chunk
            if len(chunk) < len(GZIP_MAGIC):
                return
            self._is_plain = not chunk.startswith(GZIP_MAGIC)
            self._unzip = zlib.decompressobj(wbits=31)
        if self._is_plain:
            yield chunk
            return
        while True:
            piece = self._unzip.decompress(chunk, MAX_PIECE_BYTES)
            if piece:
                yield piece
            chunk = self._unzip.unconsumed_tail
            if self._unzip.eof:
                # A log that grows may consist of several gzip members.
                chunk = self._unzip.unused_data
                if not chunk:
                    return
                self._unzip = zlib.decompressobj(wbits=31)
            elif not chunk and len(piece) < MAX_PIECE_BYTES:
                return

    def finish(self) -> bytes:
        """Return bytes that were too few to decide."""
        return b"" if self._is_plain or self._unzip is not None else self._head


def gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the decompressed bytes of a log."""
    gunzip = Gunzip()
    for chunk in chunks:
        yield from gunzip.feed(chunk)
    if rest := gunzip.finish():
        yield rest


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield lines of text. Bytes that are not UTF-8 become replacement characters.

    Of a line longer than ``MAX_LINE_BYTES``, the rest is omitted and counted: a log without newlines, such as
    a progress bar's, must not fill the worker's memory.
    """
    line, omitted = bytearray(), 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        omitted += _append(line, first)
        for other in others:
            yield _line_text(line, omitted)
            line.clear()
            omitted = _append(line, other)
    if line:
        yield _line_text(line, omitted)


def _append(line: bytearray, piece: bytes) -> int:
    """Append bytes to a line up to its limit, and return the number of bytes that were omitted."""
    free = MAX_LINE_BYTES - len(line)
    line += piece[:free]
    return max(len(piece) - free, 0)


def _line_text(line: bytearray, omitted: int) -> str:
    if not omitted:
        return line.decode(errors="replace").rstrip("\r")
    # The incremental decoder leaves out a character that was cut at the limit.
    text = getincrementaldecoder("utf-8")(errors="replace").decode(bytes(line))
    return f"{text} ... {omitted} bytes of this line omitted ..."


def tail(chunks: Iterable[bytes], count: int) -> list[str]:
    """Return the last lines. Keeps no others in memory."""
    return list(deque(lines(chunks), maxlen=count))


def logs_of_type(logs: Sequence[RunLog], source: str, type: str) -> list[RunLog]:
    """Return the logs of a source and type, oldest first. There are several if the service rotates them."""
    return sorted(
        (log for log in logs if log.source == source and log.type == type), key=lambda log: log.name
    )
