"""CPUs and memory of this machine, and the number of runs that fit on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

# Spark alone takes about 0.5 GiB; with less than this in total, a run has too little memory for its data.
_MEMORY_MIB_PER_RUN = 1536
_MIB = 1024 * 1024
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Machine:
    cpus: int
    memory_mib: int

    @classmethod
    def detect(cls, cgroup: Path = _CGROUP) -> Machine:
        """Return the resources of this machine, or of the container in which this process runs."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = psutil.virtual_memory().total
        return cls(
            max(1, min(cpus, _cpu_limit(cgroup) or cpus)),
            min(memory, _memory_limit(cgroup) or memory) // _MIB,
        )

    @property
    def concurrent_runs(self) -> int:
        """Return the number of runs that may be in progress at the same time."""
        return max(1, min(self.cpus, self.memory_mib // _MEMORY_MIB_PER_RUN))


def _words(path: Path) -> list[str]:
    """Return the words of a file; an empty list if it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []


def _memory_limit(cgroup: Path) -> int | None:
    """Return the memory limit of the container in bytes."""
    for path in (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"):
        words = _words(path)
        if words and words[0].isdigit() and int(words[0]) > 0:
            return int(words[0])
    return None


def _cpu_limit(cgroup: Path) -> int | None:
    words = _words(cgroup / "cpu.max")
    if len(words) != 2:
        words = _words(cgroup / "cpu" / "cpu.cfs_quota_us") + _words(cgroup / "cpu" / "cpu.cfs_period_us")
    if len(words) == 2 and all(word.isdigit() and int(word) > 0 for word in words):
        return -(-int(words[0]) // int(words[1]))
    return None
