"""What this machine has to share among runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

# Below this, a run would mostly wait for memory: a small Spark takes about 0.5 GiB.
_MEMORY_MIB_PER_RUN = 1536
_MIB = 1024 * 1024
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Machine:
    cpus: int
    memory_mib: int

    @classmethod
    def this(cls, cgroup: Path = _CGROUP) -> Machine:
        """This machine, or as much of it as the container around has."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = psutil.virtual_memory().total
        return cls(
            max(1, min(cpus, _cpu_limit(cgroup) or cpus)),
            min(memory, _memory_limit(cgroup) or memory) // _MIB,
        )

    @property
    def concurrent_runs(self) -> int:
        """How many runs it can take at a time."""
        return max(1, min(self.cpus, self.memory_mib // _MEMORY_MIB_PER_RUN))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _memory_limit(cgroup: Path) -> int | None:
    """In bytes. Java would count with it by itself, but we say how large its heap is."""
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
