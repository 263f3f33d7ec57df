"""Multipart uploads that are not committed yet: a folder each, with a file per part."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_dataflow.local.state.objects.json_files import JSON

_ID = re.compile(r"[0-9a-f]{32}\Z")
# Number, etag, and the MD5 in hexadecimal.
_PART = re.compile(r"(\d{5})-([0-9a-f-]{36})-([0-9a-f]{32})\Z")
_DETAILS = "upload.json"
_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    etag: str
    md5: bytes
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """Upload that was begun.

    :param details: what the client declared about the object
    """

    id: str
    folder: Path
    details: JSON

    def parts(self) -> list[Part]:
        """Return the parts that have arrived, by number."""
        found = []
        with contextlib.suppress(FileNotFoundError):  # committed or aborted meanwhile
            for entry in os.scandir(self.folder):
                match = _PART.match(entry.name)
                if match is None:
                    continue
                with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                    size = entry.stat().st_size
                    md5 = bytes.fromhex(match[3])
                    found.append(Part(int(match[1]), match[2], md5, Path(entry.path), size))
        return sorted(found, key=lambda part: part.number)

    def add(self, number: int, content: Path, md5: bytes) -> str | None:
        """Add or replace a part by moving its file; return its etag. ``None``: the upload is gone."""
        etag = str(uuid.uuid4())
        earlier = [part for part in self.parts() if part.number == number]
        try:
            os.replace(content, self.folder / f"{number:05}-{etag}-{md5.hex()}")
        except FileNotFoundError:
            return None
        for part in earlier:
            part.path.unlink(missing_ok=True)
        return etag


class MultipartUploads:
    """:param folder: holds a folder per upload"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recover(self) -> None:
        """Continue the uploads whose commit the end of an earlier server has interrupted."""
        for folder in self._folder.glob("*.committing"):
            folder.rename(folder.with_suffix(""))

    def create(self, details: JSON) -> MultipartUpload:
        id_ = secrets.token_hex(16)
        folder = self._folder / id_
        folder.mkdir(parents=True)
        (folder / _DETAILS).write_text(json.dumps(details), encoding="utf-8")
        return MultipartUpload(id_, folder, details)

    def get(self, id_: str) -> MultipartUpload | None:
        if not _ID.match(id_):
            return None
        folder = self._folder / id_
        try:
            details = json.loads((folder / _DETAILS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return MultipartUpload(id_, folder, details)

    def all(self) -> Iterator[MultipartUpload]:
        for folder in sorted(self._folder.glob("*")):
            upload = self.get(folder.name)
            if upload is not None:
                yield upload

    @contextlib.contextmanager
    def committing(self, upload: MultipartUpload) -> Iterator[MultipartUpload | None]:
        """Keep others from changing an upload, and remove it if the block succeeds.

        Yields the upload, or ``None`` if another request has committed or aborted it.
        """
        folder = upload.folder.with_suffix(".committing")
        try:
            upload.folder.rename(folder)
        except FileNotFoundError:
            yield None
            return
        try:
            yield MultipartUpload(upload.id, folder, upload.details)
        except BaseException:
            folder.rename(upload.folder)
            raise
        shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def multipart_md5(parts: Iterable[Part]) -> str:
    """Return the ``opc-multipart-md5``: the MD5 of the MD5s of the parts, and their number."""
    digests = [part.md5 for part in parts]
    digest = hashlib.md5(b"".join(digests), usedforsecurity=False).digest()
    return f"{base64.b64encode(digest).decode()}-{len(digests)}"


def join_parts(parts: Iterable[Part], target: Path) -> None:
    """Write the content of all parts to a new file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as joined:
        for part in parts:
            with open(part.path, "rb") as content:
                shutil.copyfileobj(content, joined, _COPY_BYTES)
