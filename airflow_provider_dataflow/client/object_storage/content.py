"""Content to upload: bytes or a local file, with its size and checksums."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from airflow_provider_dataflow.exceptions import DataFlowError

READ_BYTES = 1024 * 1024


class FileChanged(DataFlowError):
    """A local file was changed while it was read or uploaded. Nothing was stored."""


@dataclass(frozen=True)
class Content:
    """Bytes or a local file, with checksums. Created by :meth:`of_file` or :meth:`of_bytes`.

    :param size: bytes.
    :param md5: base64, for the header ``Content-MD5``, with which the service checks what it received.
    :param sha256: hexadecimal.
    :param path: the file; ``None`` for bytes.
    """

    size: int
    md5: str
    sha256: str
    path: Path | None = None
    _bytes: bytes = field(default=b"", repr=False)
    _version: tuple[int, ...] = ()

    @classmethod
    def of_bytes(cls, content: bytes) -> Content:
        """Return the content of bytes."""
        md5, sha256 = _digests(iter([content]))
        return cls(len(content), md5, sha256, None, content)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> Content:
        """Read a file once, in constant memory, and return its checksums.

        :raises OSError: the file cannot be read.
        :raises FileChanged: the file was changed meanwhile.
        """
        with open(path, "rb") as file:
            version = _version_of(file)
            md5, sha256 = _digests(iter(lambda: file.read(READ_BYTES), b""))
            size = os.fstat(file.fileno()).st_size
        content = cls(size, md5, sha256, Path(path), b"", version)
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


def _digests(chunks: Iterator[bytes]) -> tuple[str, str]:
    """Return the MD5 in base64 and the SHA-256 in hexadecimal."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    for chunk in chunks:
        md5.update(chunk)
        sha256.update(chunk)
    return base64.b64encode(md5.digest()).decode(), sha256.hexdigest()
