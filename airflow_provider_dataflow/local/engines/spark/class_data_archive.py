"""Class-data archive of Java (AppCDS), which halves the start time of Spark.

The user's cache folder has one archive for each pair of Java and Spark. A training run creates it in half a
minute of CPU time. The training runs while the server is idle, and is cancelled when a run starts.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_dataflow.local.engines.spark.installation import Java, Spark
from airflow_provider_dataflow.local.engines.spark.java_command import JVM_FLAGS

log = logging.getLogger(__name__)

_IDLE_SECONDS = 10.0
_MAX_ATTEMPTS = 3
_KEEP_SECONDS = 60 * 24 * 3600
_FORMAT = "1"  # increase when the way in which archives are made changes


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or ""
    base = Path(root) if root.startswith("/") else Path.home() / ".cache"
    return base / "airflow-provider-dataflow"


class ClassDataArchive:
    def __init__(self, spark: Spark, java: Java, root: Path | None = None) -> None:
        self.spark = spark
        self.java = java
        self.folder = (root or cache_folder()) / "class-data" / self._key()
        self._archive = self.folder / "spark.jsa"
        self._base = self.folder / "base.jsa"

    def _key(self) -> str:
        """Return a hash of everything that makes Java reject an archive when it changes."""
        parts = [_FORMAT, str(self.java.executable), str(self.spark.jars), self.spark.version, *JVM_FLAGS]
        libraries = self.java.home / "lib" / "server" / "libjvm.so"
        for path in (self.java.executable, libraries, *sorted(self.spark.jars.glob("*.jar"))):
            if path.exists():
                status = path.stat()
                parts.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def exists(self) -> bool:
        return self._archive.exists()

    def options(self) -> list[str]:
        """Return the Java options that use the archive; an empty list if there is no archive."""
        if not self.exists():
            return []
        files = f"{self._base}:{self._archive}" if self._base.exists() else str(self._archive)
        return [f"-XX:SharedArchiveFile={files}"]

    def make(self, train: Callable[[list[str]], bool]) -> bool:
        """Create the archive if it does not exist. Return whether it exists afterwards.

        :param train: runs Spark with the given Java options; returns ``False`` if it failed or was cancelled.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False  # another server is making it
            if self.exists():
                return True
            for leftover in self.folder.glob("*.tmp"):
                leftover.unlink(missing_ok=True)
            base = [f"-XX:SharedArchiveFile={self._base}"] if self._make_base() else []
            temporary = self.folder / f"spark.{secrets.token_hex(4)}.tmp"
            if not train([*base, f"-XX:ArchiveClassesAtExit={temporary}"]) or not temporary.exists():
                temporary.unlink(missing_ok=True)
                return False
            temporary.replace(self._archive)
            self._remove_others()
            return True

    def _remove_others(self) -> None:
        """Delete archives that were not used for 60 days: each is a third as large as Spark."""
        for folder in self.folder.parent.iterdir():
            last_used = max((path.stat().st_atime for path in folder.glob("*")), default=time.time())
            if folder != self.folder and time.time() - last_used > _KEEP_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def _make_base(self) -> bool:
        """Create a base archive if Java has none of its own (jlink). Return whether ours has to be used."""
        own = self.java.home / "lib" / "server" / "classes.jsa"
        if own.exists():
            return False
        if not self._base.exists():
            temporary = self.folder / "base.tmp"
            subprocess.run(  # noqa: S603
                [
                    self.java.executable,
                    "-XX:+UseSerialGC",
                    "-Xshare:dump",
                    f"-XX:SharedArchiveFile={temporary}",
                ],
                check=True,
                capture_output=True,
                timeout=120,
            )
            temporary.replace(self._base)
        return True


class IdleArchiveBuilder:
    """Background thread that creates the archive after the server was idle for a while.

    :param train: see :meth:`ClassDataArchive.make`.
    :param cancel: cancels ``train``.
    :param idle_seconds: how long no run must have started or ended.
    """

    def __init__(
        self,
        archive: ClassDataArchive,
        train: Callable[[list[str]], bool],
        cancel: Callable[[], None],
        *,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._archive = archive
        self._train = train
        self._cancel = cancel
        self._condition = threading.Condition()
        self._active_runs = 0
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="class-data", daemon=True)

    def start(self) -> None:
        if not self._archive.exists():
            self._thread.start()

    def run_started(self) -> None:
        with self._condition:
            self._active_runs += 1
            self._condition.notify()
        self._cancel()

    def run_ended(self) -> None:
        with self._condition:
            self._active_runs -= 1
            self._condition.notify()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._cancel()
        if self._thread.is_alive():
            self._thread.join(10)

    def _wait_until_idle(self) -> bool:
        """Wait until the server is idle. Return ``False`` if it is closed."""
        with self._condition:
            while not self._closed:
                # Each start or end of a run wakes this thread and restarts the wait.
                if not self._condition.wait(self._idle_seconds) and not self._active_runs:
                    return True
            return False

    def _loop(self) -> None:
        attempts = 0
        while attempts < _MAX_ATTEMPTS and self._wait_until_idle():
            try:
                if self._archive.make(self._train):
                    log.info("The class-data archive is ready: from now on, runs start twice as fast.")
                    return
            except (OSError, subprocess.SubprocessError) as e:
                log.warning("Could not create the class-data archive; runs start without it: %s", e)
            with self._condition:
                if not self._active_runs:  # otherwise a run cancelled it, which does not count
                    attempts += 1
