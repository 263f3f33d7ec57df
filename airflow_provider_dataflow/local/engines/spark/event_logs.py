"""Bytes that a run read and wrote, from Spark's event logs."""

from __future__ import annotations

import json
import threading
from pathlib import Path

_TASK_END = b'"SparkListenerTaskEnd"'
_UNFINISHED = ".inprogress"


class EventLogs:
    """Event logs of a run, one for each of its Spark contexts. Each line is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._offsets: dict[str, int] = {}
        self._read = self._written = 0

    def bytes_moved(self, *, ended: bool = False) -> tuple[int, int]:
        """Return the bytes read and written by all tasks so far.

        :param ended: the run has ended, so that a last line without a line end counts, too.
        """
        with self._lock:
            for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
                try:
                    self._follow(path, ended)
                except OSError:  # the context has ended and its log was renamed: read it the next time
                    continue
            return self._read, self._written

    def _follow(self, path: Path, ended: bool) -> None:
        name = path.name.removesuffix(_UNFINISHED)
        with open(path, "rb") as log:
            log.seek(self._offsets.get(name, 0))
            for line in log:
                if not line.endswith(b"\n") and not ended:
                    break
                self._offsets[name] = self._offsets.get(name, 0) + len(line)
                if _TASK_END in line[:200]:
                    self._add(line)

    def _add(self, line: bytes) -> None:
        try:
            metrics = json.loads(line).get("Task Metrics") or {}
        except ValueError:
            return  # the incomplete last line of a killed run
        self._read += metrics.get("Input Metrics", {}).get("Bytes Read", 0)
        self._written += metrics.get("Output Metrics", {}).get("Bytes Written", 0)


def bytes_moved(events: Path) -> tuple[int, int]:
    """Return the bytes read and written by a run that has ended. Logs of a killed run may be incomplete."""
    return EventLogs(events).bytes_moved(ended=True)
