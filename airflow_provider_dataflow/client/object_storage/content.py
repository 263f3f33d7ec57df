"""Content to upload: bytes or a local file, with its size and checksums."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from airflow_provider_dataflow.exceptions import DataFlowError

#: Files above this size are uploaded in parts.
THRESHOLD_BYTES = 100 * 1024 * 1024
PART_BYTES = 64 * 1024 * 1024
MAX_PARTS = 10_000

READ_BYTES = 1024 * 1024


class FileChanged(DataFlowError):
    """A local file was changed while it was read or uploaded. Nothing was stored."""


@dataclass(frozen=True)
class Content:
    """Bytes or a local file, with checksums. Created by :meth:`of_file` or :meth:`of_bytes`.

    :param size: bytes.
    :param sha256: hexadecimal.
    :param md5s: of each part, in base64. The service checks with them what it receives.
    :param part_size: bytes of each part but the last. Only a large file has more than one.
    :param path: the file; ``None`` for bytes.
    """

    size: int
    sha256: str
    md5s: tuple[str, ...]
    part_size: int
    path: Path | None = None
    _bytes: bytes = field(default=b"", repr=False)
    _version: tuple[int, ...] = ()

    @property
    def md5(self) -> str | None:
        """MD5 in base64; None if there are several parts."""
        return self.md5s[0] if len(self.md5s) == 1 else None

    @classmethod
    def of_bytes(cls, content: bytes) -> Content:
        """Return the content of bytes."""
        sha256 = hashlib.sha256(content).hexdigest()
        return cls(len(content), sha256, (_base64(_md5(content)),), max(len(content), 1), None, content)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> Content:
        """Read a file once, in constant memory, and return its checksums.

        :raises OSError: the file cannot be read.
        :raises FileChanged: the file was changed meanwhile.
        """
        with open(path, "rb") as file:
            version = _version_of(file)
            size = os.fstat(file.fileno()).st_size
            part_size = max(PART_BYTES, -(-size // MAX_PARTS)) if size > THRESHOLD_BYTES else max(size, 1)
            sha256, md5s = hashlib.sha256(), []
            for start in range(0, max(size, 1), part_size):
                md5, left = _md5(), min(part_size, size - start)
                while chunk := file.read(min(READ_BYTES, left)):
                    left -= len(chunk)
                    md5.update(chunk)
                    sha256.update(chunk)
                md5s.append(_base64(md5))
        content = cls(size, sha256.hexdigest(), tuple(md5s), part_size, Path(path), b"", version)
        content.check_unchanged()
        return content

    def check_unchanged(self) -> None:
        """Raise an error if the file is no longer the one that was read.

        :raises FileChanged: the file was changed, replaced or removed.
        """
        if self.path is None:
            return
        try:
            with self.path.open("rb") as file:
                is_same = _version_of(file) == self._version
        except OSError:
            is_same = False
        if not is_same:
            raise FileChanged(f"{self.path} was changed while it was read. Clear the task to upload it again")

    def open(self) -> IO[bytes]:
        """Return a new reader of the content."""
        return self.path.open("rb") if self.path is not None else io.BytesIO(self._bytes)


def _version_of(file: IO[bytes]) -> tuple[int, ...]:
    stat = os.fstat(file.fileno())
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _md5(content: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(content, usedforsecurity=False)


def _base64(digest: hashlib._Hash) -> str:
    return base64.b64encode(digest.digest()).decode()
