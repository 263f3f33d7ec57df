"""Objects of a bucket as files of its folder, with their metadata in records outside of the bucket."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from airflow_provider_dataflow.local.state.objects.json_files import JSON, JsonFiles
from airflow_provider_dataflow.local.state.objects.object_names import UnusableName, relative_path

# Raised for paths that no file can have, and for a loop of links (a RuntimeError before Python 3.13).
_NO_PATH = (OSError, ValueError, RuntimeError)
_COPY_BYTES = 1024 * 1024
_EMPTY_MD5 = base64.b64encode(hashlib.md5(b"", usedforsecurity=False).digest()).decode()


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """Metadata that the writer of an object gave it. Objects that Spark wrote have none.

    :param headers: headers to return with the object, such as ``content-type`` and ``opc-meta-*``
    :param md5: base64 MD5 of the content; ``None``: not known yet
    :param multipart_md5: ``opc-multipart-md5`` of an object that was uploaded in parts
    """

    headers: dict[str, str] = field(default_factory=dict)
    md5: str | None = None
    multipart_md5: str | None = None

    @classmethod
    def from_json(cls, record: JSON) -> ObjectMetadata:
        return cls(record.get("headers", {}), record.get("md5"), record.get("multipartMd5"))

    def as_json(self) -> JSON:
        return {"headers": self.headers, "md5": self.md5, "multipartMd5": self.multipart_md5}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Object of a bucket.

    :param path: its file; the folder, if the name ends with a slash
    :param modified: seconds since the epoch
    """

    name: str
    path: Path
    size: int
    modified: float
    etag: str
    stamp: tuple[int, int, int, int]
    metadata: ObjectMetadata

    def md5(self) -> str:
        """Return the base64 MD5 of the content, which reads the file of an object that Spark wrote."""
        if self.metadata.md5 is not None:
            return self.metadata.md5
        return _EMPTY_MD5 if self.size == 0 else _md5_of(str(self.path), self.stamp)


Check = Callable[["StoredObject | None"], None]


def _no_check(current: StoredObject | None) -> None:
    """Accept whatever object exists."""


class BucketMissing(Exception):
    """The bucket was deleted while the request was handled."""


class ObjectFiles:
    """Objects of one bucket.

    Every change is atomic: readers see the old or the new object. ``Check`` arguments get the current object
    and raise if it must not be replaced; no other request changes the object in between.

    :param root: folder of the bucket, without symbolic links
    :param records: metadata of the objects of this bucket, by name
    :param lock: shared by all objects that have the same root
    """

    def __init__(self, root: Path, records: JsonFiles, lock: threading.RLock) -> None:
        self.root = root
        self._records = records
        self._lock = lock

    def get(self, name: str) -> StoredObject | None:
        """Return an object; ``None``: there is none of this name. Symbolic links are not followed."""
        try:
            path = self.root / relative_path(name)
            # Different only if a part of the path is a symbolic link, which could lead out of the bucket.
            if path.resolve() != path:
                return None
            status = path.stat()
        except _NO_PATH:
            return None
        with self._lock:
            if name.endswith("/"):
                return self.placeholder(name, path) if stat.S_ISDIR(status.st_mode) else None
            return self.from_file(name, path, status) if stat.S_ISREG(status.st_mode) else None

    def from_file(
        self, name: str, path: Path, status: os.stat_result, *, metadata: bool = True
    ) -> StoredObject:
        """Return the object of a file.

        :param metadata: whether to read the metadata, which takes longer than everything else
        """
        stamp = _stamp(status)
        record = self._records.get(name) if metadata else None
        # Written by somebody else since the record was made: the record is about an older object.
        if record is not None and record.get("stamp") != list(stamp):
            record = None
        found = ObjectMetadata() if record is None else ObjectMetadata.from_json(record)
        return StoredObject(name, path, status.st_size, status.st_mtime_ns / 1e9, _etag(stamp), stamp, found)

    def placeholder(self, name: str, path: Path) -> StoredObject | None:
        """Return the empty object whose name is that of a folder with a slash, if a client created it."""
        record = self._records.get(name)
        if record is None or record.get("stamp") is None:
            return None
        stamp = tuple(record["stamp"])
        return StoredObject(
            name, path, 0, stamp[2] / 1e9, _etag(stamp), stamp, ObjectMetadata.from_json(record)
        )

    def open(self, name: str) -> tuple[StoredObject, FileRange] | None:
        """Return an object and its content, which a later change does not affect. The caller closes it."""
        with self._lock:
            found = self.get(name)
            if found is None:
                return None
            if name.endswith("/"):
                return found, FileRange(os.open(os.devnull, os.O_RDONLY), 0)
            try:
                descriptor = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW)
            except OSError:
                return None
            # Spark may have replaced the file since it was found.
            status = os.fstat(descriptor)
            return self.from_file(name, found.path, status), FileRange(descriptor, status.st_size)

    def put(
        self, name: str, content: Path, metadata: ObjectMetadata, check: Check = _no_check
    ) -> StoredObject:
        """Make a file the content of an object. The file is moved, not copied.

        :raises UnusableName: a folder cannot represent the name, or not beside the other objects
        """
        path = self.root / relative_path(name)
        with self._lock:
            check(self.get(name))
            if name.endswith("/"):
                return self._put_placeholder(name, path, content, metadata)
            self._make_room(path, name)
            # Exact, because the clock of the file system ticks only every few milliseconds, and the etag
            # must differ.
            now = time.time_ns()
            os.utime(content, ns=(now, now))
            content = _on_same_device(content, path.parent)
            status = content.stat()
            self._records.put(name, {"name": name, "stamp": _stamp(status), **metadata.as_json()})
            os.replace(content, path)
            return self.from_file(name, path, status)

    def _put_placeholder(
        self, name: str, path: Path, content: Path, metadata: ObjectMetadata
    ) -> StoredObject:
        if content.stat().st_size:
            raise UnusableName(
                "Local Data Flow keeps objects as files, so an object whose name ends with a slash is a "
                "folder and must be empty."
            )
        self._make_parents(path, name)
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            raise _in_the_way(name, path) from None
        content.unlink()
        stamp = (0, secrets.randbits(48), time.time_ns(), 0)
        self._records.put(name, {"name": name, "stamp": stamp, **metadata.as_json()})
        found = self.placeholder(name, path)
        assert found is not None  # noqa: S101
        return found

    def remove(self, name: str, check: Check = _no_check) -> StoredObject | None:
        """Remove an object and the folders that only it needed; return what was removed."""
        with self._lock:
            found = self.get(name)
            check(found)
            if found is None:
                return None
            if name.endswith("/"):
                self._records.remove(name)
                self._prune(found.path)
            else:
                found.path.unlink(missing_ok=True)
                self._records.remove(name)
                self._prune(found.path.parent)
            return found

    def rename(
        self, name: str, new_name: str, check: Check = _no_check, check_new: Check = _no_check
    ) -> StoredObject | None:
        """Rename an object; ``None``: it does not exist.

        :raises UnusableName: a folder cannot represent the new name, or not beside the other objects
        """
        with self._lock:
            found = self.get(name)
            check(found)
            if found is None:
                return None
            if name.endswith("/") or new_name.endswith("/"):
                raise UnusableName(
                    "Local Data Flow keeps objects as files: the name of a folder cannot be changed."
                )
            path = self.root / relative_path(new_name)
            check_new(self.get(new_name))
            self._make_room(path, new_name)
            record = {"name": new_name, "stamp": found.stamp, **found.metadata.as_json()}
            self._records.put(new_name, record)
            os.replace(found.path, path)
            self._records.remove(name)
            self._prune(found.path.parent)
            return self.get(new_name)

    def _make_parents(self, path: Path, name: str) -> None:
        """Create the folder of a file.

        :raises UnusableName: another object is in the way, or a symbolic link
        :raises BucketMissing: the bucket was deleted
        """
        if not self.root.is_dir():
            raise BucketMissing
        existing = path.parent
        while not os.path.lexists(existing):
            existing = existing.parent
        # Before anything is created, which could be outside of the bucket.
        if (path.is_symlink() and name.endswith("/")) or existing.resolve() != existing:
            raise UnusableName("A part of the object name is a symbolic link, which is not followed.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            if isinstance(e, FileExistsError | NotADirectoryError):
                raise _in_the_way(name, path.parent) from None
            raise

    def _make_room(self, path: Path, name: str) -> None:
        """Create the folder of a file, and remove an empty folder that has the name of the file."""
        self._make_parents(path, name)
        if not path.is_dir() or path.is_symlink():
            return
        for folder, _, files in os.walk(path, topdown=False):
            if files or self._is_placeholder(Path(folder)):
                raise _in_the_way(name, path)
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if path.exists():
            raise _in_the_way(name, path)

    def _is_placeholder(self, folder: Path) -> bool:
        return self._records.get(f"{folder.relative_to(self.root).as_posix()}/") is not None

    def _prune(self, folder: Path) -> None:
        """Remove empty folders from here up to the bucket: on Object Storage, folders do not exist."""
        while folder != self.root and not self._is_placeholder(folder):
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent


def _in_the_way(name: str, path: Path) -> UnusableName:
    return UnusableName(
        f"Local Data Flow keeps objects as files: {name!r} cannot exist together with the object or folder "
        f"{path.name!r}, because a name cannot be that of a file and of a folder."
    )


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _etag(stamp: tuple[int, ...]) -> str:
    digest = hashlib.sha256(":".join(map(str, stamp)).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16]))


@lru_cache(maxsize=10_000)
def _md5_of(path: str, stamp: tuple[int, ...]) -> str:
    """Return the MD5 of a file, which is read again only when its stamp has changed."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_COPY_BYTES):
            digest.update(chunk)
    return base64.b64encode(digest.digest()).decode()


def _on_same_device(content: Path, folder: Path) -> Path:
    """Return the content as a file that can be renamed into the folder, which may be on another device."""
    if content.stat().st_dev == folder.stat().st_dev:
        return content
    copy = folder / f".dataflow-{secrets.token_hex(8)}.part"
    try:
        shutil.copy2(content, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    content.unlink()
    return copy


class FileRange:
    """Iterator over an open file, or a part of it. It closes the file at the end."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor: int | None = descriptor
        self._position = 0
        self._end = size

    def narrow(self, start: int, length: int) -> None:
        """Skip what is outside of this part."""
        self._position, self._end = start, start + length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._descriptor is None or self._position >= self._end:
            self.close()
            raise StopIteration
        length = min(self._end - self._position, _COPY_BYTES)
        chunk = os.pread(self._descriptor, length, self._position)
        if not chunk:
            raise OSError("the file became shorter while it was read")
        self._position += len(chunk)
        return chunk

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    __del__ = close
