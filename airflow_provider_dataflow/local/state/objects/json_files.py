"""Records as JSON files in a folder, which need no database and can be deleted at any time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

JSON = dict[str, Any]


class JsonFiles:
    """Folder of records. A record is replaced atomically, and a damaged one counts as missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> JSON | None:
        return _read(self._path(key))

    def put(self, key: str, record: JSON) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        temporary.write_text(json.dumps(record), encoding="utf-8")
        os.replace(temporary, path)

    def remove(self, key: str) -> bool:
        """Remove a record; return whether it was there."""
        try:
            self._path(key).unlink()
        except FileNotFoundError:
            return False
        return True

    def all(self) -> Iterator[JSON]:
        """Yield all records, in no particular order."""
        for _, record in self._files():
            yield record

    def remove_where(self, matches: Callable[[JSON], bool]) -> None:
        for path, record in self._files():
            if matches(record):
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Path, JSON]]:
        for path in list(self.folder.glob("*/*.json")):
            record = _read(path)
            if record is not None:
                yield path, record

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        # Hashed, because a key may be longer than a file name, or contain slashes.
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / name[:2] / f"{name}.json"


def _read(path: Path) -> JSON | None:
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict):
            return record
    return None
