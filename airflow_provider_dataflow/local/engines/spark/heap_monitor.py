"""Monitor of Java's heap, which ends a run whose heap is full.

Unlike the other collectors, Java's serial collector throws OutOfMemoryError only when a collection frees
nothing at all. Until then each allocation may need a full collection, so that a run could take hours to fail.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from airflow_provider_dataflow.local.engines.spark.supervised_process import SupervisedProcess
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace

# The heap is exhausted if collections took 90 % of the last 10 seconds, and at least four of them were full
# collections, after each of which 95 % of the heap was still in use.
_WINDOW_SECONDS = 10.0
_MIN_FULL_COLLECTIONS = 4
_MIN_BUSY_SHARE = 0.9
_MIN_USED_SHARE = 0.95
_CHECK_SECONDS = 2.0
_TAIL_BYTES = 64 * 1024
# [12.345s] GC(10) Pause Full (Allocation Failure) 495M->494M(495M) 812.345ms
_PAUSE = re.compile(
    r"^\[([\d.]+)s\] GC\(\d+\) Pause (Full|Young).* \d+M->(\d+)M\((\d+)M\) ([\d.]+)ms$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class _Pause:
    ended: float
    is_full: bool
    used_share: float
    seconds: float


def is_exhausted(log: str) -> bool:
    """Return whether the end of Java's GC log shows that it only collects a full heap."""
    pauses = [
        _Pause(float(m[1]), m[2] == "Full", int(m[3]) / max(1, int(m[4])), float(m[5]) / 1000)
        for m in _PAUSE.finditer(log)
    ]
    busy, collections = 0.0, 0
    for pause in reversed(pauses):
        if pause.is_full and pause.used_share < _MIN_USED_SHARE:
            return False
        busy += pause.seconds
        collections += pause.is_full
        elapsed = pauses[-1].ended - pause.ended + pause.seconds
        if elapsed >= _WINDOW_SECONDS and collections >= _MIN_FULL_COLLECTIONS:
            return busy >= _MIN_BUSY_SHARE * elapsed
    return False


class HeapMonitor:
    """Calls ``exhausted`` once when the heap is exhausted.

    :param path: GC log of Java.
    """

    def __init__(
        self, path: Path, exhausted: Callable[[], None], *, check_seconds: float = _CHECK_SECONDS
    ) -> None:
        self._check_seconds = check_seconds
        self._path = path
        self._exhausted = exhausted
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heap-monitor", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._check_seconds):
            if is_exhausted(self._recent()):
                self._exhausted()
                return

    def _recent(self) -> str:
        """Return the end of the log; an empty string if there is none, or it did not grow for 10 seconds."""
        try:
            if time.time() - self._path.stat().st_mtime > _WINDOW_SECONDS:
                return ""
            with open(self._path, "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - _TAIL_BYTES))
                return f.read().decode(errors="replace")
        except OSError:
            return ""


def heap_monitor(process: SupervisedProcess, workspace: Workspace) -> HeapMonitor:
    """Return a monitor that kills a process whose heap is full, and leaves a file that tells this."""
    return HeapMonitor(workspace.gc_log, partial(_end_exhausted, process, workspace))


def _end_exhausted(process: SupervisedProcess, workspace: Workspace) -> None:
    workspace.heap_exhausted.touch()
    process.kill()
