"""Reading a run's logs: which ones tell what, decompression, and the end of one."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from airflow_provider_dataflow.models.run import RunLog

GZIP_MAGIC = b"\x1f\x8b"
MAX_PIECE = 1024 * 1024

#: Where the cause of a failure stands, best first: the application's stderr has the traceback.
STDERR_SOURCES = ("APPLICATION", "DRIVER")


class Gunzip:
    """Plain bytes of a log that may or may not have been decompressed on the way.

    The service stores gzip; whether it says so in ``Content-Encoding``, and the client has unpacked it then,
    is not documented, so the bytes themselves are asked.
    """

    def __init__(self) -> None:
        self._head = b""
        self._unzip: Any = None
        self._is_plain = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What comes out of the next bytes, in pieces: a small one can hold a lot."""
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
            piece = self._unzip.decompress(chunk, MAX_PIECE)
            if piece:
                yield piece
            chunk = self._unzip.unconsumed_tail
            if self._unzip.eof:
                # A log that is appended to may be several gzip members in a row.
                chunk = self._unzip.unused_data
                if not chunk:
                    return
                self._unzip = zlib.decompressobj(wbits=31)
            elif not chunk and len(piece) < MAX_PIECE:
                return

    def finish(self) -> bytes:
        """What was too short to tell what it is."""
        return b"" if self._is_plain or self._unzip is not None else self._head


def gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of a log."""
    gunzip = Gunzip()
    for chunk in chunks:
        yield from gunzip.feed(chunk)
    if rest := gunzip.finish():
        yield rest


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of text; bytes that are no UTF-8 are shown as replacement characters."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def tail(chunks: Iterable[bytes], count: int) -> list[str]:
    """The last lines, in memory bounded by them."""
    return list(deque(lines(chunks), maxlen=count))


def named(logs: Sequence[RunLog], source: str, type: str) -> list[RunLog]:
    """The logs of one source and type; several where the service rotates them, oldest first."""
    return sorted(
        (log for log in logs if log.source == source and log.type == type), key=lambda log: log.name
    )
