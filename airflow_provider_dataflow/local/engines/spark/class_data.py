"""The archive of class data (AppCDS) that halves the start of Spark.

Made once for each pair of Java and Spark, in the user's cache, by a run of its own; that takes half a minute
of CPU time, so it is done when the server has nothing else to do, and given up as soon as a run starts.
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

from airflow_provider_dataflow.local.engines.spark.command import JVM_FLAGS
from airflow_provider_dataflow.local.engines.spark.installation import Java, Spark

log = logging.getLogger(__name__)

_IDLE_SECONDS = 10.0
_MAX_ATTEMPTS = 3
_KEEP_SECONDS = 60 * 24 * 3600
_FORMAT = "1"  # to be changed with what an archive is made with


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
        """Changes with all that makes Java reject an archive."""
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
        """The options of Java that use the archive; none while there is none."""
        if not self.exists():
            return []
        files = f"{self._base}:{self._archive}" if self._base.exists() else str(self._archive)
        return [f"-XX:SharedArchiveFile={files}"]

    def make(self, train: Callable[[list[str]], bool]) -> bool:
        """Make the archive, unless there is one; return whether there is one now.

        :param train: runs a job with these options of Java; ``False`` if it failed or was cancelled
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
        """Drop the archives that nobody has used for long: each has the size of a third of Spark."""
        for folder in self.folder.parent.iterdir():
            last_used = max((path.stat().st_atime for path in folder.glob("*")), default=time.time())
            if folder != self.folder and time.time() - last_used > _KEEP_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def _make_base(self) -> bool:
        """Java's own archive, which a runtime made with jlink comes without."""
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


class IdleMaker:
    """Makes the archive in the background, when there has been no run for a while."""

    def __init__(
        self, archive: ClassDataArchive, train: Callable[[list[str]], bool], cancel: Callable[[], None]
    ) -> None:
        self._archive = archive
        self._train = train
        self._cancel = cancel
        self._condition = threading.Condition()
        self._busy = 0
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="class-data", daemon=True)

    def start(self) -> None:
        if not self._archive.exists():
            self._thread.start()

    def run_starts(self) -> None:
        with self._condition:
            self._busy += 1
            self._condition.notify()
        self._cancel()

    def run_ended(self) -> None:
        with self._condition:
            self._busy -= 1
            self._condition.notify()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._cancel()
        if self._thread.is_alive():
            self._thread.join(10)

    def _wait_until_idle(self) -> bool:
        """:return: whether to go on; not if closed"""
        with self._condition:
            while not self._closed:
                # Woken by any change: then the wait begins anew.
                if not self._condition.wait(_IDLE_SECONDS) and not self._busy:
                    return True
            return False

    def _loop(self) -> None:
        attempts = 0
        while attempts < _MAX_ATTEMPTS and self._wait_until_idle():
            try:
                if self._archive.make(self._train):
                    log.info("The class-data archive is ready: runs start in half the time from now on.")
                    return
            except (OSError, subprocess.SubprocessError) as e:
                log.warning("Could not make the class-data archive: %s", e)
            with self._condition:
                if not self._busy:  # otherwise it was given up for a run, which is no failure
                    attempts += 1
