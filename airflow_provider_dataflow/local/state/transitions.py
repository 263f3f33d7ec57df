"""Timed changes of state of resources other than runs."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_dataflow.local.state.clock import Timeline, rfc3339
from airflow_provider_dataflow.local.state.store import Record, ResourceKind, Store

# Keys in a record's internal fields: the next states, and the seconds of each step.
_NEXT, _STEP = "next", "step"


def is_settled(record: Record) -> bool:
    return not record.internal.get(_NEXT)


def last_state(record: Record, state_field: str = "lifecycleState") -> str:
    """Return the state that a resource has, or that it will have after its transitions."""
    return str([record.body[state_field], *(record.internal.get(_NEXT) or ())][-1])


class Transitions:
    """Moves resources of one kind through their states.

    The next states are stored with the resource, so that a restarted server continues.

    :param entered: called in each new state, before the resource is stored.
    :param may_leave: returns whether a resource may leave its state; if not, call ``retry`` later.
    """

    def __init__(
        self,
        store: Store,
        kind: ResourceKind,
        *,
        timeline: Timeline,
        entered: Callable[[Record], None],
        may_leave: Callable[[Record], bool] = lambda record: True,
        state_field: str = "lifecycleState",
    ) -> None:
        self._store = store
        self._kind = kind
        self._timeline = timeline
        self._entered = entered
        self._may_leave = may_leave
        self._state_field = state_field
        self._held: set[str] = set()

    def start(self, record: Record, seconds: float, *states: str) -> None:
        """Enter the first state now and the others at equal intervals, the last one after ``seconds``."""
        record.internal[_NEXT] = list(states[1:])
        record.internal[_STEP] = seconds / max(1, len(states) - 1)
        self._enter(record, states[0])

    def resume(self) -> None:
        for record in self._store.select(self._kind):
            if not is_settled(record):
                self._plan_step(record)

    def retry(self, resource_id: str) -> None:
        """Take the step of a resource that could not leave its state before."""
        if resource_id in self._held:
            self._step(resource_id)

    def clear(self) -> None:
        self._held.clear()

    def _enter(self, record: Record, state: str) -> None:
        record.body[self._state_field] = state
        if "timeUpdated" in record.body:
            record.body["timeUpdated"] = rfc3339(self._timeline.now())
        self._held.discard(record.id)
        self._entered(record)
        if record.seq:
            self._store.update(self._kind, record)
        else:
            self._store.insert(self._kind, record)
        # These states replace those of an earlier call of ``start``.
        self._timeline.cancel(record.id, _STEP)
        if not is_settled(record):
            self._plan_step(record)

    def _plan_step(self, record: Record) -> None:
        moment = self._timeline.now() + record.internal[_STEP]
        self._timeline.plan(moment, lambda: self._step(record.id), (record.id, _STEP))

    def _step(self, resource_id: str) -> None:
        record = self._store.get(self._kind, resource_id)
        if record is None or is_settled(record):
            return
        if not self._may_leave(record):
            self._held.add(resource_id)
            return
        self._enter(record, record.internal[_NEXT].pop(0))
