"""What this machine has to share among runs."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

# Below this, a run would mostly wait for memory: a small Spark takes about 0.5 GiB.
_MEMORY_MIB_PER_RUN = 1536


@dataclass(frozen=True, slots=True)
class Machine:
    cpus: int
    memory_mib: int

    @classmethod
    def this(cls) -> Machine:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(cpus, psutil.virtual_memory().total // (1024 * 1024))

    @property
    def concurrent_runs(self) -> int:
        """How many runs it can take at a time."""
        return max(1, min(self.cpus, self.memory_mib // _MEMORY_MIB_PER_RUN))
