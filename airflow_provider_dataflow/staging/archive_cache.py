"""Cache of locks and dependency archives on the worker, shared by all its tasks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_dataflow.exceptions import DataFlowError
from airflow_provider_dataflow.staging.dependency_archive import ARCHIVE_NAME

MAX_BYTES = 2 * 1024**3

#: Age from which unpinned requirements are resolved again.
LOCK_SECONDS = 24 * 3600
#: An archive that was used since is kept beyond ``MAX_BYTES``: a task may be uploading it.
_IN_USE_SECONDS = 3600
_KEEP_LOCKS_SECONDS = 7 * 24 * 3600


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or ""
    base = Path(root) if root.startswith("/") else Path.home() / ".cache"
    return base / "airflow-provider-dataflow" / "dependencies"


class ArchiveCache:
    """Folder with archives by the hash of their lock, and with locks by the hash of their requirements.

    :param folder: the folder. Default: in ``XDG_CACHE_HOME`` or ``~/.cache``.
    :param max_bytes: total size of the archives, above which the least recently used are deleted.
    """

    def __init__(self, folder: Path | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder or cache_folder()
        self._max_bytes = max_bytes

    def lock(self, key: str | None, resolve: Callable[[], str]) -> str:
        """Return the lock of requirements, which is resolved at most once a day.

        :param key: hash of the requirements and the target; ``None``: resolve always.
        :param resolve: returns the lock.
        """
        if key is None:
            return resolve()
        with self._errors():
            file = self._made("locks") / key
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime < LOCK_SECONDS:
                    return file.read_text(encoding="utf-8")
        text = resolve()
        with self._errors():
            temporary = file.with_name(f"{key}.{secrets.token_hex(4)}.tmp")
            # Direct URLs in it may hold passwords.
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
                f.write(text)
            temporary.replace(file)
            _delete_older(file.parent, _KEEP_LOCKS_SECONDS)
        return text

    def archive(self, key: str, build: Callable[[Path, Path], None]) -> Path:
        """Return an archive, which one task builds while others wait for it.

        :param key: hash of its lock and target.
        :param build: writes the archive to its first argument; the second one is an empty folder to work in.
        """
        with self._errors():
            path = self._made("archives", key) / ARCHIVE_NAME
            if not path.exists():
                with _exclusive(self._made("building") / key):
                    if not path.exists():
                        self._build(path, build)
                self._delete_least_recently_used(path)
            os.utime(path)
            return path

    def _build(self, path: Path, build: Callable[[Path, Path], None]) -> None:
        _delete_older(self._made("work"), _IN_USE_SECONDS * 24)
        work = self._made("work", secrets.token_hex(8))
        try:
            temporary, folder = work / ARCHIVE_NAME, work / "packages"
            folder.mkdir()
            build(temporary, folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _delete_least_recently_used(self, keep: Path) -> None:
        found = []
        for path in self._made("archives").glob(f"*/{ARCHIVE_NAME}"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in found) - self._max_bytes
        for used, size, path in sorted(found):
            if excess <= 0:
                break
            if path != keep and time.time() - used > _IN_USE_SECONDS:
                shutil.rmtree(path.parent, ignore_errors=True)
                excess -= size

    def _made(self, *parts: str) -> Path:
        folder = self._folder.joinpath(*parts)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataFlowError(
                f"requirements: cannot use the cache {self._folder}: {error} (XDG_CACHE_HOME names another)"
            ) from error


def archive_key(*parts: str) -> str:
    """Return the hash of everything that an archive or a lock depends on."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Let one process, and one thread, in at a time."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _delete_older(folder: Path, seconds: float) -> None:
    """Delete entries of a folder that were not modified for long, among them what a killed task has left."""
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > seconds:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
