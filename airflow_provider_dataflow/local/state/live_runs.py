"""Runs that have not ended: queued ones, and those in progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.run_queue import QueueLane, RunQueue
from airflow_provider_dataflow.local.state.store import RUNS, Filter, Record, Store
from airflow_provider_dataflow.models.run import TERMINAL_STATES, LifecycleState

_LIVE_STATES = tuple(state for state in LifecycleState if state not in TERMINAL_STATES)
_ENDING_STATES = (LifecycleState.CANCELING, LifecycleState.STOPPING)


def live_runs_of_application(store: Store, application_id: str) -> list[Record]:
    """Return the runs of an application that have not ended, oldest first."""
    return store.select(
        RUNS, [Filter("application_id", "=", application_id), Filter("state", "in", _LIVE_STATES)]
    )


def is_application_in_use(store: Store, application_id: str) -> bool:
    """Return whether the application has runs that nobody has canceled or stopped.

    oracle-ads deletes an application directly after it has canceled the runs, without a wait for their end.
    """
    return any(
        run.body["lifecycleState"] not in _ENDING_STATES
        for run in live_runs_of_application(store, application_id)
    )


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """Run in progress, and the resources that it holds."""

    lane: QueueLane
    application_id: str
    private_endpoint_id: str | None


class LiveRuns:
    """Index of all runs that have not ended, by compartment, pool and private endpoint."""

    def __init__(self) -> None:
        self._queue = RunQueue()
        # Runs with a declared startup time: they join the queue after it.
        self._delayed: dict[str, QueueLane] = {}
        self._active: dict[str, ActiveRun] = {}
        self._active_by_compartment: Counter[str] = Counter()

    def delay(self, run_id: str, lane: QueueLane) -> None:
        self._delayed[run_id] = lane

    def enqueue(self, run_id: str, lane: QueueLane) -> None:
        self._delayed.pop(run_id, None)
        self._queue.add(run_id, lane)

    def leave_queue(self, run_id: str) -> None:
        self._queue.remove(run_id)
        self._delayed.pop(run_id, None)

    def take_next(self, may_start: Callable[[str, QueueLane], bool]) -> str | None:
        """Remove and return the first run of the queue that may start."""
        return self._queue.take(may_start)

    def activate(self, run_id: str, run: JSON) -> ActiveRun:
        """Record a run that is now in progress."""
        active = self._active[run_id] = ActiveRun(
            QueueLane(run.get("poolId"), run["compartmentId"]),
            run["applicationId"],
            run.get("privateEndpointId"),
        )
        self._active_by_compartment[active.lane.compartment_id] += 1
        return active

    def deactivate(self, run_id: str) -> ActiveRun | None:
        """Forget a run that was in progress. Return ``None`` if it was not."""
        active = self._active.pop(run_id, None)
        if active is not None:
            self._active_by_compartment[active.lane.compartment_id] -= 1
        return active

    def clear(self) -> None:
        self._queue.clear()
        self._delayed.clear()
        self._active.clear()
        self._active_by_compartment.clear()

    # --- Queries --------------------------------------------------------------------------------------------

    @property
    def active_ids(self) -> list[str]:
        return list(self._active)

    @property
    def active_count(self) -> int:
        return len(self._active)

    @property
    def waiting_count(self) -> int:
        return len(self._queue) + len(self._delayed)

    @property
    def count(self) -> int:
        return self.active_count + self.waiting_count

    def is_active(self, run_id: str) -> bool:
        return run_id in self._active

    def active_in_compartment(self, compartment_id: str) -> int:
        return self._active_by_compartment[compartment_id]

    def count_in_compartment(self, compartment_id: str) -> int:
        delayed = sum(lane.compartment_id == compartment_id for lane in self._delayed.values())
        return (
            self.active_in_compartment(compartment_id) + self._queue.in_compartment(compartment_id) + delayed
        )

    def in_pool(self, pool_id: str) -> list[str]:
        active = [run_id for run_id, active in self._active.items() if active.lane.pool_id == pool_id]
        delayed = [run_id for run_id, lane in self._delayed.items() if lane.pool_id == pool_id]
        return active + self._queue.in_pool(pool_id) + delayed

    def is_private_endpoint_in_use(self, private_endpoint_id: str) -> bool:
        """Return whether a run in progress uses a private endpoint."""
        return any(active.private_endpoint_id == private_endpoint_id for active in self._active.values())

    def private_endpoint_conflict(self, run: JSON) -> str | None:
        """Return why a run must fail because of another one, or ``None``.

        Of all runs with private endpoints, only those of one application can be in progress.
        """
        if not run.get("privateEndpointId"):
            return None
        for run_id, active in self._active.items():
            if active.private_endpoint_id is not None and active.application_id != run["applicationId"]:
                return (
                    "Only one application with a private endpoint can have runs at a time: the run "
                    f"{run_id} of the application {active.application_id} is in progress."
                )
        return None
