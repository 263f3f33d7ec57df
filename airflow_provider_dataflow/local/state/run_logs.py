"""Logs of a run: plain files while it runs, gzip after its end, with the service's file names."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

APPLICATION_STDOUT = "spark_application_stdout.log"
APPLICATION_STDERR = "spark_application_stderr.log"
GZIP = ".gz"
_CHUNK = 64 * 1024
_NAME = re.compile(r"spark_(application|driver|executor)_(stdout|stderr)[a-zA-Z0-9_]*\.log\Z")
_ORDER = {"application": 0, "driver": 1, "executor": 2}


def diagnostics_name(source: str, stamp: str) -> str:
    """Return the file name of a driver's or executor's log.

    :param stamp: time of its start.
    """
    return f"spark_{source}_stderr_{stamp}.log"


@dataclass(frozen=True, slots=True)
class LogFile:
    """Log of a run."""

    # With ``.gz``, as in the API, even if it is not compressed yet.
    name: str
    source: str
    type: str
    size: int
    modified: float


class LogFolder:
    """Folder with the logs of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list(self) -> list[LogFile]:
        found: dict[str, LogFile] = {}
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            match = _NAME.match(entry.name.removesuffix(GZIP))
            if match is None or not entry.is_file():
                continue
            name = entry.name.removesuffix(GZIP) + GZIP
            if name in found and not entry.name.endswith(GZIP):
                continue  # being compressed
            status = entry.stat()
            found[name] = LogFile(name, match[1].upper(), match[2].upper(), status.st_size, status.st_mtime)
        return sorted(found.values(), key=lambda f: (_ORDER[f.source.lower()], f.type != "STDOUT", f.name))

    def open_gzip(self, name: str) -> Iterator[bytes] | None:
        """Return the compressed content, up to now if the log is still written; ``None`` if there is none."""
        plain = name.removesuffix(GZIP)
        if not name.endswith(GZIP) or not _NAME.match(plain):
            return None
        # In this order: the plain file is deleted when the compressed one is complete.
        for path, compressed in ((self.path / plain, False), (self.path / name, True)):
            try:
                file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
            except OSError:
                continue
            return _read(file) if compressed else _compress(file)
        return None

    def tail(self, name: str, size: int = 64 * 1024) -> str:
        """Return the end of a log as text."""
        try:
            with open(self.path / name, "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - size))
                return f.read(size).decode(errors="replace")
        except FileNotFoundError:
            pass
        try:
            with gzip.open(self.path / (name + GZIP)) as f:
                end = b""
                while chunk := f.read(size):
                    end = (end + chunk)[-size:]
                return end.decode(errors="replace")
        except (OSError, EOFError):
            return ""

    def compress(self) -> None:
        """Compress all logs, each atomically. Nothing may write to them any more."""
        for entry in list(self.path.iterdir()) if self.path.is_dir() else ():
            if not _NAME.match(entry.name):
                continue
            temporary = entry.with_name(f".{entry.name}.tmp")
            with open(entry, "rb") as source, gzip.open(temporary, "wb", compresslevel=6) as target:
                shutil.copyfileobj(source, target, _CHUNK)
            temporary.replace(entry.with_name(entry.name + GZIP))
            entry.unlink()


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file as f:
        while chunk := f.read(_CHUNK):
            yield chunk


def _compress(file: BinaryIO) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, wbits=31)  # 31: gzip format
    with file as f:
        # Only up to the current size, because the log may grow faster than the client reads.
        left = os.fstat(f.fileno()).st_size
        while left > 0 and (chunk := f.read(min(_CHUNK, left))):
            left -= len(chunk)
            if out := compressor.compress(chunk):
                yield out
    yield compressor.flush()
