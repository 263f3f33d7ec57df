"""Runs that a watcher has reported, so that no event is lost or sent twice. Does no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from airflow_provider_dataflow.models.run import Run, has_reached

#: Format version of the payload and of the snapshot.
VERSION = 1
#: Runs created up to this long before the newest one are listed again, since ListRuns may lag behind.
OVERLAP_SECONDS = 600.0
#: After this time, Airflow has certainly stored an event; it takes up to two seconds.
SETTLE_SECONDS = 5.0
#: With more active runs than this, the snapshot keeps an earlier ``since`` instead of their ids.
MAX_OPEN_RUNS = 300


def event_payload(run: Run) -> dict[str, Any]:
    """Return the payload of an asset event. ``run_id`` and ``state`` together identify an event.

    It has no ``lifecycle_details``: Airflow stores the payload in its database, and the details may quote a
    secret in the run's arguments, which a list of runs does not have.
    """
    return {
        "version": VERSION,
        "run_id": run.id,
        "state": run.state,
        "display_name": run.display_name,
        "application_id": run.application_id,
        "compartment_id": run.compartment_id,
        "time_created": run.time_created.isoformat() if run.time_created else None,
        "time_updated": run.time_updated.isoformat() if run.time_updated else None,
    }


@dataclass(slots=True)
class _ClosedRun:
    """Run that is not polled any more: it was reported, or has no state to report.

    :ivar reported_at: on a monotonic clock; None if Airflow has stored its event, or if it has no event.
    """

    created: float
    reported_at: float | None
    run_id: str


@dataclass
class ReportedRuns:
    """Progress of a watcher.

    :param states: lifecycle states to report. A run is reported once, in the first of them that it reaches.
    :param since: seconds since the epoch: runs created until then are closed, except those in ``open``.
    """

    states: Collection[str]
    since: float
    #: Active runs, with their creation time.
    open: dict[str, float] = field(default_factory=dict)
    #: Closed runs, by the hash of the run id.
    _closed: dict[str, _ClosedRun] = field(default_factory=dict)

    def add_existing(self, runs: Iterable[Run]) -> None:
        """Add the runs that exist when the watcher starts. States they have reached are not reported."""
        for run in runs:
            if self._has_reached_state(run) or run.is_terminal:
                self._close(run, None)
            else:
                self.open[run.id] = _created_or_zero(run)

    def update(self, run: Run, now: float) -> bool:
        """Record the state of a run. Return True if the caller must report it; this is True once per run.

        :param now: of a monotonic clock, in seconds.
        """
        if _hash(run.id) in self._closed or (run.id not in self.open and _created_or_zero(run) <= self.since):
            return False
        reached = self._has_reached_state(run)
        if reached or run.is_terminal:
            self._close(run, now if reached else None)
        else:
            self.open[run.id] = _created_or_zero(run)
        return reached

    def forget(self, run_id: str) -> None:
        """Drop a run that the service no longer knows."""
        self.open.pop(run_id, None)

    def has_settled_since(self, moment: float, now: float) -> bool:
        """Return whether ``SETTLE_SECONDS`` of any reported event ended between ``moment`` and ``now``.

        :param moment: of a monotonic clock, in seconds.
        :param now: of the same clock.
        """
        return any(
            closed.reported_at is not None
            and moment - SETTLE_SECONDS < closed.reported_at <= now - SETTLE_SECONDS
            for closed in self._closed.values()
        )

    def snapshot(self, now: float) -> dict[str, Any]:
        """Return the progress as JSON. Runs reported less than five seconds ago count as not reported.

        :param now: of a monotonic clock, in seconds.
        """
        unsettled = {
            closed.run_id: closed.created
            for closed in self._closed.values()
            if closed.reported_at is not None and closed.reported_at > now - SETTLE_SECONDS
        }
        newest = max((closed.created for closed in self._closed.values()), default=self.since)
        since = max(self.since, newest - OVERLAP_SECONDS)
        # Runs created after ``since`` are found by their creation time.
        open_runs = {id: created for id, created in (self.open | unsettled).items() if created <= since}
        if len(open_runs) > MAX_OPEN_RUNS:
            since = self.since
            open_runs = {id: created for id, created in open_runs.items() if created <= since}
        self.since = since
        self._closed = {
            key: closed
            for key, closed in self._closed.items()
            if closed.created > since or closed.run_id in unsettled
        }
        done = [key for key, closed in self._closed.items() if closed.run_id not in unsettled]
        return {"version": VERSION, "since": since, "open": open_runs, "done": done}

    @classmethod
    def from_snapshot(cls, states: Collection[str], saved: Mapping[str, Any]) -> Self:
        """Restore the progress from a snapshot.

        :raises ValueError: ``saved`` is not a snapshot.
        """
        try:
            since = float(saved["since"])
            restored = cls(states, since, {str(id): float(created) for id, created in saved["open"].items()})
            # A snapshot has no creation times of closed runs. This value leaves ``since`` as it is.
            restored._closed = {
                str(key): _ClosedRun(since + OVERLAP_SECONDS, None, "") for key in saved["done"]
            }
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"expected the saved progress of a watcher, got {saved!r}") from error
        return restored

    def _has_reached_state(self, run: Run) -> bool:
        return has_reached(run.state, self.states)

    def _close(self, run: Run, reported_at: float | None) -> None:
        self.open.pop(run.id, None)
        self._closed[_hash(run.id)] = _ClosedRun(_created_or_zero(run), reported_at, run.id)


def _created_or_zero(run: Run) -> float:
    """Return the creation time; 0 if it is unknown, so that ``since`` never moves beyond other runs."""
    return run.time_created.timestamp() if run.time_created else 0.0


def _hash(run_id: str) -> str:
    """Return a short key for a run id: an OCID is long, and Airflow's store takes 64 kB."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:16]
