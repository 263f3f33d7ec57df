"""A load generator: one request, again and again, over connections that are kept where the server does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    requests: int
    seconds: float
    connections: int  # that were opened

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


async def _worker(port: int, request: bytes, end: float) -> tuple[int, int]:
    done = opened = 0
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while time.perf_counter() < end:
        if reader is None or writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened += 1
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status, _, rest = head.partition(b"\r\n")
        if status.split()[1] != b"200":
            raise RuntimeError(f"answered by {status!r}")
        headers = rest.lower()
        length = int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        done += 1
        if b"connection: close" in headers or status.startswith(b"HTTP/1.0"):
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()
    return done, opened


async def _measure(port: int, request: bytes, seconds: float, connections: int) -> Result:
    begin = time.perf_counter()
    workers = [_worker(port, request, begin + seconds) for _ in range(connections)]
    results = await asyncio.gather(*workers)
    return Result(sum(r[0] for r in results), time.perf_counter() - begin, sum(r[1] for r in results))


def measure(port: int, request: bytes, seconds: float = 3.0, connections: int = 4) -> Result:
    """Send the request until the time is over."""
    return asyncio.run(_measure(port, request, seconds, connections))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; the first row is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
