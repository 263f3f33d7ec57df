"""Decompression and selection of a run's logs."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from airflow_provider_dataflow.models.run import RunLog

GZIP_MAGIC = b"\x1f\x8b"
MAX_PIECE_BYTES = 1024 * 1024

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
    """Yield lines of text. Bytes that are not UTF-8 become replacement characters."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def tail(chunks: Iterable[bytes], count: int) -> list[str]:
    """Return the last lines. Keeps no others in memory."""
    return list(deque(lines(chunks), maxlen=count))


def logs_of_type(logs: Sequence[RunLog], source: str, type: str) -> list[RunLog]:
    """Return the logs of a source and type, oldest first. There are several if the service rotates them."""
    return sorted(
        (log for log in logs if log.source == source and log.type == type), key=lambda log: log.name
    )
