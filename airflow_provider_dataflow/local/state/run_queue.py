"""Queue of accepted runs, in lanes: a run that cannot start holds up only the runs of its own lane."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Property with the maximum time in ACCEPTED, for example 1h, 30m or 45min. Default: 20 minutes for runs in a
# pool, else no limit.
_QUEUE_TIMEOUT = "spark.dataflow.acquireQuotaTimeout"
_POOL_QUEUE_SECONDS = 20 * 60
_TIMEOUT = re.compile(r"(\d{1,6})\s*(s|sec|m|min|h|hr|d)?\Z", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "": 60, "m": 60, "min": 60, "h": 3600, "hr": 3600, "d": 86400}


def queue_timeout_seconds(run: Mapping[str, Any]) -> int | None:
    """Return how long a run may be ACCEPTED; ``None``: without limit."""
    if match := _TIMEOUT.match((run.get("configuration") or {}).get(_QUEUE_TIMEOUT, "").strip()):
        return int(match[1]) * _SECONDS[(match[2] or "").lower()]
    return _POOL_QUEUE_SECONDS if run.get("poolId") else None


@dataclass(frozen=True, slots=True)
class QueueLane:
    """Runs of the same pool, or of the same compartment without a pool."""

    pool_id: str | None
    compartment_id: str


class RunQueue:
    """Takes the run that has waited longest among the first runs of all lanes, if it may start."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._lane_of: dict[str, QueueLane] = {}
        # Runs of each lane in the order of submission, with their position among all runs.
        self._lanes: dict[QueueLane, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._lane_of)

    def add(self, run_id: str, lane: QueueLane) -> None:
        self._lane_of[run_id] = lane
        self._lanes.setdefault(lane, {})[run_id] = next(self._numbers)

    def remove(self, run_id: str) -> None:
        lane = self._lane_of.pop(run_id, None)
        if lane is not None:
            del self._lanes[lane][run_id]
            if not self._lanes[lane]:
                del self._lanes[lane]

    def clear(self) -> None:
        self._lane_of.clear()
        self._lanes.clear()

    def take(self, may_start: Callable[[str, QueueLane], bool]) -> str | None:
        """Remove and return the next run that may start."""
        for _, lane in sorted(self._first_of_lanes(), key=lambda first: first[0]):
            run_id = next(iter(self._lanes[lane]))
            if may_start(run_id, lane):
                self.remove(run_id)
                return run_id
        return None

    def _first_of_lanes(self) -> Iterator[tuple[int, QueueLane]]:
        for lane, runs in self._lanes.items():
            yield next(iter(runs.values())), lane

    def in_pool(self, pool_id: str) -> list[str]:
        return [run_id for lane, runs in self._lanes.items() if lane.pool_id == pool_id for run_id in runs]

    def in_compartment(self, compartment_id: str) -> int:
        return sum(len(runs) for lane, runs in self._lanes.items() if lane.compartment_id == compartment_id)
