"""Find and kill the processes of a run by a marker in their environment.

Normally the supervisor ends the processes of its run. This module does so if the supervisor was killed, and
when a server starts after another one died.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import psutil

MARKER = "DATAFLOW_RUN_ID"
_EMPTY_SCANS = 3


def marker_value(home: Path, run_id: str = "") -> str:
    """Return the marker of a run; without a run id, the prefix of the markers of all runs of this home."""
    return f"{home}:{run_id}"


def find_marker(environment: bytes) -> str | None:
    """Return the marker in the content of a file ``/proc/PID/environ``.

    It is searched for, not split: the memory that holds it can have megabytes, mostly NUL, if the process has
    overwritten it or moved its bounds. Splitting that took seconds, at each start of a server.
    """
    found = re.search(rb"(?:^|\0)%b=([^\0]*)" % MARKER.encode(), environment)
    return None if found is None else os.fsdecode(found[1])


def _environment_value(pid: int) -> str | None:
    if os.path.isdir("/proc/self"):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return None
        return find_marker(environment)
    try:
        return psutil.Process(pid).environ().get(MARKER)
    except (psutil.Error, OSError):
        return None


def pids_with_marker(home: Path, run_id: str = "") -> list[int]:
    """Return the ids of the processes of one run, or of all runs of this home."""
    wanted = marker_value(home, run_id)
    found = []
    for pid in psutil.pids():
        value = _environment_value(pid)
        if value is not None and (value == wanted if run_id else value.startswith(wanted)):
            found.append(pid)
    return found


def kill_with_marker(home: Path, run_id: str = "") -> int:
    """Kill the processes of one run, or of all runs of this home. Return their number.

    A process may fork between a scan and the kill, or its parent may end during a scan, so that one scan can
    miss it. Therefore scan until several scans in a row have found no process.
    """
    killed: set[int] = set()
    empty_scans = 0
    while empty_scans < _EMPTY_SCANS:
        pids = [pid for pid in pids_with_marker(home, run_id) if pid != os.getpid()]
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed.update(pids)
        empty_scans = 0 if pids else empty_scans + 1
        time.sleep(0.005)
    return len(killed)
