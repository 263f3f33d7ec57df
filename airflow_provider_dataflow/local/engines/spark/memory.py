"""Watch over Java's heap: a run whose heap is full ends soon, and not after minutes of collecting garbage.

Java's serial collector, unlike the others, never gives up: it throws OutOfMemoryError only when a collection
frees nothing at all, and until then each allocation may cost a full collection.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_WINDOW_SECONDS = 10.0
_MIN_COLLECTIONS = 4
_BUSY_SHARE = 0.9
_FULL_SHARE = 0.95
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
    share_left: float
    seconds: float


def is_exhausted(log: str) -> bool:
    """Return whether Java has done nothing but collect a full heap for a while, at the end of this log."""
    pauses = [
        _Pause(float(m[1]), m[2] == "Full", int(m[3]) / max(1, int(m[4])), float(m[5]) / 1000)
        for m in _PAUSE.finditer(log)
    ]
    busy, collections = 0.0, 0
    for pause in reversed(pauses):
        if pause.is_full and pause.share_left < _FULL_SHARE:
            return False
        busy += pause.seconds
        collections += pause.is_full
        elapsed = pauses[-1].ended - pause.ended + pause.seconds
        if elapsed >= _WINDOW_SECONDS and collections >= _MIN_COLLECTIONS:
            return busy >= _BUSY_SHARE * elapsed
    return False


class HeapWatch:
    """Calls back once when the heap is exhausted.

    :param path: Java's log of its collections
    """

    def __init__(self, path: Path, exhausted: Callable[[], None]) -> None:
        self._path = path
        self._exhausted = exhausted
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heap-watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_CHECK_SECONDS):
            if is_exhausted(self._recent()):
                self._exhausted()
                return

    def _recent(self) -> str:
        """The end of the log; nothing if Java has not collected for some time, or the log is not there."""
        try:
            if time.time() - self._path.stat().st_mtime > _WINDOW_SECONDS:
                return ""
            with open(self._path, "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - _TAIL_BYTES))
                return f.read().decode(errors="replace")
        except OSError:
            return ""
