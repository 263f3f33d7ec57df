"""Which runs of an application or compartment have been told of: what a watcher has to remember.

Plain Python, and the whole of the rule that no event is lost or told twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from airflow_provider_dataflow.models.run import Run, has_reached

VERSION = 1
#: Seconds. Runs that were created so long before the newest are looked at again: lists may lag behind.
OVERLAP = 600.0
#: Seconds after which Airflow has stored an event: it does within two.
SETTLE = 5.0
#: More runs under way than that are remembered by when the oldest was created, not by name.
MOST_OPEN = 300


def payload(run: Run) -> dict[str, Any]:
    """What an asset event says of the run. ``run_id`` and ``state`` together tell one event from another."""
    return {
        "version": VERSION,
        "run_id": run.id,
        "state": run.state,
        "display_name": run.display_name,
        "application_id": run.application_id,
        "compartment_id": run.compartment_id,
        "lifecycle_details": run.lifecycle_details,
        "time_created": run.time_created.isoformat() if run.time_created else None,
        "time_updated": run.time_updated.isoformat() if run.time_updated else None,
    }


@dataclass(slots=True)
class _Done:
    created: float
    #: On a monotonic clock; ``None``: settled, or not to be told of.
    told_at: float | None
    run_id: str


@dataclass
class Progress:
    """How far a watcher is.

    :param states: the lifecycle states that it is about; a run is told of once, in the first that it reaches.
    :param since: seconds since the epoch: what was created until then, and is not in ``open``, is done with.
    """

    states: Collection[str]
    since: float
    #: Runs that are under way, with the time of their creation.
    open: dict[str, float] = field(default_factory=dict)
    _done: dict[str, _Done] = field(default_factory=dict)

    def begin(self, runs: Iterable[Run]) -> None:
        """What there is when the watch begins: what has been reached by now is not told of."""
        for run in runs:
            if self._reached(run) or run.is_terminal:
                self._close(run, None)
            else:
                self.open[run.id] = _created(run)

    def tell(self, run: Run, now: float) -> bool:
        """A run was seen. True if it is to be told of, now and never again.

        :param now: of a monotonic clock, in seconds.
        """
        if _short(run.id) in self._done or (run.id not in self.open and _created(run) <= self.since):
            return False
        reached = self._reached(run)
        if reached or run.is_terminal:
            self._close(run, now if reached else None)
        else:
            self.open[run.id] = _created(run)
        return reached

    def forget(self, run_id: str) -> None:
        """The service does not know the run any more."""
        self.open.pop(run_id, None)

    def is_settled_since(self, moment: float, now: float) -> bool:
        """Whether something that was told of has become settled since that moment.

        :param now: of the same monotonic clock, in seconds.
        """
        return any(
            done.told_at is not None and moment - SETTLE < done.told_at <= now - SETTLE
            for done in self._done.values()
        )

    def snapshot(self, now: float) -> dict[str, Any]:
        """What to remember, as JSON. What was told of a moment ago counts as not told: it may not be stored.

        :param now: of a monotonic clock, in seconds.
        """
        unsettled = {
            done.run_id: done.created
            for done in self._done.values()
            if done.told_at is not None and done.told_at > now - SETTLE
        }
        newest = max((done.created for done in self._done.values()), default=self.since)
        since = max(self.since, newest - OVERLAP)
        # What was created later is found by its time.
        by_name = {id: created for id, created in (self.open | unsettled).items() if created <= since}
        if len(by_name) > MOST_OPEN:
            since = self.since
            by_name = {id: created for id, created in by_name.items() if created <= since}
        self.since = since
        self._done = {
            short: done
            for short, done in self._done.items()
            if done.created > since or done.run_id in unsettled
        }
        done = [short for short, done in self._done.items() if done.run_id not in unsettled]
        return {"version": VERSION, "since": since, "open": by_name, "done": done}

    @classmethod
    def of(cls, states: Collection[str], saved: Mapping[str, Any]) -> Self:
        """As a snapshot was.

        :raises ValueError: it is none.
        """
        try:
            since = float(saved["since"])
            progress = cls(states, since, {str(id): float(created) for id, created in saved["open"].items()})
            # When they were created is not kept; that it was after ``since`` is known.
            progress._done = {str(short): _Done(since + OVERLAP, None, "") for short in saved["done"]}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"it is no progress of a watcher: {saved!r}") from error
        return progress

    def _reached(self, run: Run) -> bool:
        return has_reached(run.state, self.states)

    def _close(self, run: Run, told_at: float | None) -> None:
        self.open.pop(run.id, None)
        self._done[_short(run.id)] = _Done(_created(run), told_at, run.id)


def _created(run: Run) -> float:
    return run.time_created.timestamp() if run.time_created else 0.0


def _short(run_id: str) -> str:
    """An OCID is long, and a store takes 64 kB."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:16]
