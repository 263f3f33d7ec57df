"""Reading a run's logs: which ones tell what, decompression, and the end of one."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_dataflow.run import RunLog

GZIP_MAGIC = b"\x1f\x8b"

#: Where the cause of a failure stands, best first: the application's stderr has the traceback.
STDERR_SOURCES = ("APPLICATION", "DRIVER")


def gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Plain bytes of a log that may or may not have been decompressed on the way.

    The service stores gzip; whether it says so in ``Content-Encoding``, and the SDK has unpacked it then,
    is not documented, so the bytes themselves are asked.
    """
    unzip = None
    head: bytes | None = b""
    for chunk in chunks:
        if head is not None:
            head += chunk
            if len(head) < len(GZIP_MAGIC):
                continue
            chunk, head = head, None
            if chunk.startswith(GZIP_MAGIC):
                unzip = zlib.decompressobj(wbits=31)
        if unzip is None:
            yield chunk
            continue
        data = unzip.decompress(chunk)
        # A log that is appended to may be several gzip members in a row.
        while unzip.eof and unzip.unused_data:
            rest = unzip.unused_data
            unzip = zlib.decompressobj(wbits=31)
            data += unzip.decompress(rest)
        yield data
    if head:
        yield head


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
