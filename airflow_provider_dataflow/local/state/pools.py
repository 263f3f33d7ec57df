"""The life of a pool, and what it means to the runs in it."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_provider_dataflow.local.http.messages import JSON, ApiError
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.pool_schedules import Turn, next_turn
from airflow_provider_dataflow.local.state.store import POOLS, RUNS, Record
from airflow_provider_dataflow.local.state.transitions import Transitions, is_settled

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.state.lifecycle import Lifecycle

_STOPPED = "The run was ended: its pool was stopped."
# What is planned for a pool.
_IDLENESS, _SCHEDULES = "idleness", "schedules"


class PoolState(StrEnum):
    ACCEPTED = "ACCEPTED"
    SCHEDULED = "SCHEDULED"  # not used here: what it means is not published
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"


def nodes(run: JSON) -> Counter[str]:
    """How many nodes a run takes, by shape."""
    needed = Counter({run.get("driverShape") or "": 1})
    needed[run.get("executorShape") or ""] += run.get("numExecutors") or 0
    return needed


class Pools:
    """Changes come from the API, from schedules, from idleness, and from a run that needs its pool."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self.transitions = Transitions(
            lifecycle.store,
            POOLS,
            timeline=lifecycle.timeline,
            entered=self._entered,
            may_leave=self._may_leave,
        )
        # Of the runs that are active, by pool: their number, and their nodes.
        self._active: Counter[str] = Counter()
        self._used: dict[str, Counter[str]] = {}

    def resume(self) -> None:
        self.transitions.resume()
        for record in self._store.select(POOLS):
            if record.body["lifecycleState"] != PoolState.DELETED:
                self._watch_idleness(record)
                self._watch_schedules(record)

    def forget(self) -> None:
        self.transitions.forget()
        self._active.clear()
        self._used.clear()

    # What the API asks for

    def create(self, record: Record, path: str) -> str:
        request = self._lifecycle.work_requests.begin("CREATE_POOL", record, path)
        self._go(record, PoolState.ACCEPTED, PoolState.CREATING, PoolState.ACTIVE)
        self._watch_schedules(record)
        return request

    def start(self, record: Record, path: str) -> str:
        self._check(record, "started", PoolState.STOPPED)
        request = self._lifecycle.work_requests.begin("START_POOL", record, path)
        self._start(record)
        return request

    def stop(self, record: Record, path: str) -> str:
        self._check(record, "stopped", PoolState.ACTIVE)
        request = self._lifecycle.work_requests.begin("STOP_POOL", record, path)
        self._stop(record)
        return request

    def update(self, record: Record, details: JSON, path: str, operation: str = "UPDATE_POOL") -> str:
        self._check(record, "updated", PoolState.ACTIVE, PoolState.STOPPED)
        request = self._lifecycle.work_requests.begin(operation, record, path)
        before = record.body["lifecycleState"]
        record.body.update(details)
        self._go(record, PoolState.UPDATING, before)
        self._watch_schedules(record)
        return request

    def delete(self, record: Record, path: str) -> str:
        self._check(record, "deleted", PoolState.STOPPED, PoolState.FAILED)
        request = self._lifecycle.work_requests.begin("DELETE_POOL", record, path)
        for run_id in self._lifecycle.waiting.in_pool(record.id):
            self._cancel(run_id, "The run was canceled: its pool was deleted.")
        self._go(record, PoolState.DELETING, PoolState.DELETED)
        return request

    def metrics(self, record: Record) -> JSON:
        def time(name: str) -> str | None:
            moment = record.internal.get(name)
            return None if moment is None else rfc3339(moment)

        used = self._used.get(record.id, Counter())
        return {
            "timeLastStarted": time("started"),
            "timeLastStopped": time("stopped"),
            "timeLastUsed": time("used"),
            "timeLastMetricsUpdated": rfc3339(self._lifecycle.now()),
            "activeRunsCount": self._active[record.id],
            "activelyUsedNodeCount": [
                {"logicalShape": shape, "count": count} for shape, count in sorted(used.items()) if count
            ],
        }

    # What happens to runs

    def run_submitted(self, pool_id: str) -> None:
        record = self._store.get(POOLS, pool_id)
        if (
            record is not None
            and record.body["lifecycleState"] == PoolState.STOPPED
            and self._lifecycle.options.submission_starts_pool
        ):
            self._start(record)

    def may_start(self, pool_id: str, run: JSON) -> bool:
        """Whether a pool is active and has room for a run."""
        record = self._store.get(POOLS, pool_id)
        if record is None or record.body["lifecycleState"] != PoolState.ACTIVE:
            return False
        room: Counter[str] = Counter()
        for configuration in record.body["configurations"]:
            room[configuration.get("shape") or ""] += (
                configuration.get("max") or configuration.get("min") or 1
            )
        used = self._used.get(pool_id, Counter())
        return all(used[shape] + count <= room[shape] for shape, count in nodes(run).items())

    def run_holds(self, pool_id: str, run: JSON) -> None:
        self._active[pool_id] += 1
        self._used.setdefault(pool_id, Counter()).update(nodes(run))

    def run_ended(self, pool_id: str, run: JSON) -> None:
        self._active[pool_id] -= 1
        self._used.setdefault(pool_id, Counter()).subtract(nodes(run))
        self.was_used(pool_id)
        self.transitions.retry(pool_id)

    def was_used(self, pool_id: str) -> None:
        record = self._store.get(POOLS, pool_id)
        if record is not None:
            record.internal["used"] = self._lifecycle.now()
            self._store.update_internal(POOLS, record)
            self._watch_idleness(record)

    # Its states

    @staticmethod
    def _check(record: Record, what: str, *states: PoolState) -> None:
        state = record.body["lifecycleState"]
        if state not in states:
            # What the SDK would retry for long is for states that pass.
            code = "Conflict" if is_settled(record) else "IncorrectState"
            raise ApiError(409, code, f"A pool that is {state} cannot be {what}.")

    def _go(self, record: Record, *states: str) -> None:
        self.transitions.go(record, self._lifecycle.options.transition_seconds, *states)

    def _start(self, record: Record) -> None:
        self._go(record, PoolState.ACCEPTED, PoolState.CREATING, PoolState.ACTIVE)

    def _stop(self, record: Record) -> None:
        self._go(record, PoolState.STOPPING, PoolState.STOPPED)
        for run_id in self._lifecycle.runs_in_pool(record.id):
            self._cancel(run_id, _STOPPED)

    def _cancel(self, run_id: str, why: str) -> None:
        run = self._store.get(RUNS, run_id)
        if run is not None:
            self._lifecycle.cancel(run, why, stop=True)

    def _may_leave(self, record: Record) -> bool:
        return record.body["lifecycleState"] != PoolState.STOPPING or not self._active[record.id]

    def _entered(self, record: Record) -> None:
        state, moment = record.body["lifecycleState"], self._lifecycle.now()
        if state == PoolState.STOPPED and record.internal.get("stopping"):
            record.internal["stopped"] = moment
        record.internal["stopping"] = state == PoolState.STOPPING
        if state == PoolState.CREATING:
            record.internal["started"] = moment
        if is_settled(record):
            self._lifecycle.work_requests.finish(record)
        if state == PoolState.ACTIVE:
            self._lifecycle.timeline.plan(moment, self._lifecycle.advance)
            self._watch_idleness(record)

    def _watch_idleness(self, record: Record) -> None:
        """Plan to stop a pool when it will have been idle for as long as it may be."""
        minutes = record.body.get("idleTimeoutInMinutes")
        state = record.body["lifecycleState"]
        if minutes is None or state != PoolState.ACTIVE or self._active[record.id]:
            self._lifecycle.timeline.call_off(record.id, _IDLENESS)
            return

        def due() -> None:
            current = self._store.get(POOLS, record.id)
            if current is None or current.body["lifecycleState"] != PoolState.ACTIVE:
                return
            if self._lifecycle.runs_in_pool(record.id):
                self._watch_idleness(current)
            else:
                self._stop(current)

        moment = self._lifecycle.now() + minutes * 60
        self._lifecycle.timeline.plan(moment, due, (record.id, _IDLENESS))

    def _watch_schedules(self, record: Record) -> None:
        turn = next_turn(record.body.get("schedules") or [], self._lifecycle.now())
        if turn is None:
            self._lifecycle.timeline.call_off(record.id, _SCHEDULES)
            return

        def due() -> None:
            current = self._store.get(POOLS, record.id)
            if current is None:
                return
            state = current.body["lifecycleState"]
            if state in (PoolState.DELETING, PoolState.DELETED):
                return
            if turn[1] == Turn.START and state == PoolState.STOPPED:
                self._start(current)
            elif turn[1] == Turn.STOP and state == PoolState.ACTIVE:
                self._stop(current)
            self._watch_schedules(current)

        self._lifecycle.timeline.plan(turn[0], due, (record.id, _SCHEDULES))
