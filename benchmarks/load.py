"""Load generator: repeats one request over keep-alive connections, and formats tables."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from dev import progress


@dataclass(frozen=True, slots=True)
class LoadResult:
    """:param connections: how many were opened.
    :param cpu_seconds: of the server; unlike the rate, hardly depends on how busy the machine is.
    """

    requests: int
    seconds: float
    connections: int
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_per_request(self) -> float:
        return self.cpu_seconds / self.requests


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
            raise RuntimeError(f"the server responded with {status!r}")
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


def _cpu_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


async def _measure(pid: int, port: int, request: bytes, seconds: float, connections: int) -> LoadResult:
    cpu = _cpu_seconds(pid)
    begin = time.perf_counter()
    workers = [_worker(port, request, begin + seconds) for _ in range(connections)]
    results = await asyncio.gather(*workers)
    taken = time.perf_counter() - begin
    return LoadResult(sum(r[0] for r in results), taken, sum(r[1] for r in results), _cpu_seconds(pid) - cpu)


def measure(pid: int, port: int, request: bytes, seconds: float = 3.0, connections: int = 4) -> LoadResult:
    """Send the request for ``seconds`` over as many connections.

    :param pid: of the server, for its CPU time
    """
    return asyncio.run(_measure(pid, port, request, seconds, connections))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align the columns of ``rows``, and underline the first row, which is the header."""
    header, *lines = progress.table(rows, indent="").splitlines()
    return "\n".join([header, "-" * len(header), *lines])
