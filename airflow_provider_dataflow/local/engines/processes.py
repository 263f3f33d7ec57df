"""Finding and ending the processes of a run by the marker in their environment.

The supervisor is what ends a run's processes; this is the net below it, for the case that somebody killed the
supervisor itself, and for the start after a server that died.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

MARKER = "DATAFLOW_RUN_ID"
_QUIET_SCANS = 3


def marker(home: Path, run_id: str = "") -> str:
    """The value of the marker; without a run id, the prefix that all runs of this home share."""
    return f"{home}:{run_id}"


def _environment_value(pid: int) -> str | None:
    if os.path.isdir("/proc/self"):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return None
        for item in environment.split(b"\0"):
            if item.startswith(MARKER.encode() + b"="):
                return os.fsdecode(item.partition(b"=")[2])
        return None
    try:
        return psutil.Process(pid).environ().get(MARKER)
    except (psutil.Error, OSError):
        return None


def marked(home: Path, run_id: str = "") -> list[int]:
    """The processes of one run, or of all runs of this home."""
    wanted = marker(home, run_id)
    found = []
    for pid in psutil.pids():
        value = _environment_value(pid)
        if value is not None and (value == wanted if run_id else value.startswith(wanted)):
            found.append(pid)
    return found


def sweep(home: Path, run_id: str = "") -> int:
    """Kill them, again and again until none is left; return how many there were.

    Looped, because a process may fork between the scan and the kill. For the same reason it takes several
    scans that find nobody: one alone can miss a process whose parent ended in its midst.
    """
    killed: set[int] = set()
    quiet = 0
    while quiet < _QUIET_SCANS:
        pids = [pid for pid in marked(home, run_id) if pid != os.getpid()]
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed.update(pids)
        quiet = 0 if pids else quiet + 1
        time.sleep(0.005)
    return len(killed)
