"""Files of :class:`.ObjectFileSystem`."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractBufferedFile


class ObjectReader(AbstractBufferedFile):
    """Object that is read in blocks. If it is replaced meanwhile, the read fails instead of mixing both."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs.read_range(self.path, start, end, self.details.get("etag"))
        return content


class ObjectWriter(io.BufferedWriter):
    """Temporary file that is uploaded when it is closed.

    It is not uploaded if the ``with`` block raises, or if nobody closes it.

    :param upload: stores the content of a file as the object
    """

    def __init__(self, upload: Callable[[Path], None]) -> None:
        handle, name = tempfile.mkstemp(prefix="airflow-oci-")
        self._upload = upload
        self._file = Path(name)
        super().__init__(io.FileIO(handle, "w"))

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.flush()
            self._upload(self._file)
        finally:
            self.discard()

    def discard(self) -> None:
        """Close the file without an upload."""
        with suppress(OSError):
            super().close()
        with suppress(OSError):
            os.unlink(self._file)

    def __exit__(self, exception: Any, *args: Any) -> None:
        if exception is not None:
            self.discard()
        else:
            self.close()

    def __del__(self) -> None:
        if not self.closed:
            self.discard()


class TextWriter(io.TextIOWrapper):
    """Text for an :class:`.ObjectWriter`, which is uploaded and discarded in the same cases.

    ``io.TextIOWrapper`` closes its file, and thus uploads it, also if the ``with`` block raises.
    """

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.flush()
        except BaseException:
            self._discard()
            raise
        super().close()

    def _discard(self) -> None:
        # There is none if it was detached, or if the encoding is unknown.
        with suppress(ValueError, AttributeError):
            writer: Any = self.buffer
            writer.discard()

    def __exit__(self, exception: Any, *args: Any) -> None:
        if exception is not None:
            self._discard()
        self.close()

    def __del__(self) -> None:
        self._discard()


def compressed(file: Path, target: Path, compression: str) -> None:
    """Write the content of a file to another, compressed.

    :param compression: its name in ``fsspec``
    """
    from fsspec.compression import compr

    with (
        open(file, "rb") as content,
        open(target, "xb") as raw,
        closing(compr[compression](raw, mode="w")) as out,
    ):
        shutil.copyfileobj(content, out)
