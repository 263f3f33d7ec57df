"""How much a run read and wrote, from Spark's event log."""

from __future__ import annotations

import json
from pathlib import Path

_TASK_END = '"SparkListenerTaskEnd"'


def bytes_moved(events: Path) -> tuple[int, int]:
    """The bytes read and written by all tasks. A log may be incomplete, as that of a killed run is."""
    read = written = 0
    for path in events.iterdir() if events.is_dir() else ():
        if not path.is_file():
            continue
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if _TASK_END not in line[:200]:
                    continue
                try:
                    metrics = json.loads(line).get("Task Metrics") or {}
                except ValueError:
                    continue  # the last line of a killed run
                read += metrics.get("Input Metrics", {}).get("Bytes Read", 0)
                written += metrics.get("Output Metrics", {}).get("Bytes Written", 0)
    return read, written
