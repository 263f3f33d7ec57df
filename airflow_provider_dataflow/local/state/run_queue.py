"""The runs that wait, in lanes: what holds one up in a lane holds up all behind it, and nothing elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lane:
    pool_id: str | None
    compartment_id: str


class WaitingRuns:
    """Of all runs at the head of a lane that may start, the one that has waited longest is the first."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._lane_of: dict[str, Lane] = {}
        # Each in the order of submission, with the run's number in the order of all.
        self._lanes: dict[Lane, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._lane_of)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._lane_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._lane_of)

    def add(self, run_id: str, lane: Lane) -> None:
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

    def take(self, may_start: Callable[[str, Lane], bool]) -> str | None:
        """Remove and return the first that may start."""
        heads = sorted(self._heads(), key=lambda head: head[0])
        for _, lane in heads:
            run_id = next(iter(self._lanes[lane]))
            if may_start(run_id, lane):
                self.remove(run_id)
                return run_id
        return None

    def _heads(self) -> Iterator[tuple[int, Lane]]:
        for lane, runs in self._lanes.items():
            yield next(iter(runs.values())), lane

    def in_pool(self, pool_id: str) -> list[str]:
        return [run_id for lane, runs in self._lanes.items() if lane.pool_id == pool_id for run_id in runs]

    def in_compartment(self, compartment_id: str) -> int:
        return sum(len(runs) for lane, runs in self._lanes.items() if lane.compartment_id == compartment_id)
