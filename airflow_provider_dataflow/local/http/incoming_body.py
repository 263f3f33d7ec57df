"""Body of an upload, which is written to a file while it arrives, so that its size does not matter."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import IO


class IncomingBody:
    """Temporary file with the body of a request.

    :param folder: created if it does not exist
    :param algorithms: names of the digests to compute while the body is written
    """

    def __init__(self, folder: Path, algorithms: Iterable[str] = ("md5",)) -> None:
        self.path = folder / secrets.token_hex(16)
        self.size = 0
        self.error: OSError | None = None
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Append data. After an error, such as a full disk, the rest of the body is ignored."""
        if self.error is not None:
            return
        try:
            self._opened().write(data)
        except OSError as e:
            self.error = e
            return
        self.size += len(data)
        for digest in self._digests.values():
            digest.update(data)

    def finish(self) -> None:
        """Close the file, which exists afterwards even if the body is empty."""
        try:
            self._opened().close()
        except OSError as e:
            self.error = self.error or e

    def discard(self) -> None:
        """Remove the file, unless it was moved."""
        if self._file is not None:
            try:
                # Raises if it cannot write what is buffered.
                with contextlib.suppress(OSError):
                    self._file.close()
            finally:
                self.path.unlink(missing_ok=True)

    def digest(self, algorithm: str) -> bytes:
        return self._digests[algorithm].digest()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "xb")  # noqa: SIM115 - closed by finish or discard
        return self._file
