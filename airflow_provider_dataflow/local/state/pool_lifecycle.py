"""Life cycle of pools, and its effects on the runs in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.clock import Timeline, rfc3339
from airflow_provider_dataflow.local.state.live_runs import LiveRuns
from airflow_provider_dataflow.local.state.managed_lifecycle import ManagedLifecycle
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.pool_schedules import ScheduledAction, next_action
from airflow_provider_dataflow.local.state.store import POOLS, Record, Store
from airflow_provider_dataflow.local.state.transitions import Transitions
from airflow_provider_dataflow.local.state.work_requests import WorkRequests

_STOPPED_DETAILS = "The run was ended: its pool was stopped."
# Names of planned events.
_IDLENESS, _SCHEDULES = "idleness", "schedules"


class PoolLifecycleState(StrEnum):
    ACCEPTED = "ACCEPTED"
    SCHEDULED = "SCHEDULED"  # created with schedules, and not started yet
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"


#: States in which a pool has no nodes until somebody, a schedule or a run starts it.
IDLE_STATES = (PoolLifecycleState.STOPPED, PoolLifecycleState.SCHEDULED)


def needed_nodes(run: JSON) -> Counter[str]:
    """Return the numbers of nodes that a run needs, by shape."""
    needed = Counter({run.get("driverShape") or "": 1})
    needed[run.get("executorShape") or ""] += run.get("numExecutors") or 0
    return needed


class PoolLifecycle(ManagedLifecycle):
    """Changes of pools by the API, by schedules, by the idle timeout, and by runs that need their pool.

    :param cancel_run: ends a run by its id, with a reason for its ``lifecycleDetails``.
    :param start_runs: starts the queued runs that may start now.
    """

    noun = "pool"
    work_request_noun = "POOL"
    # Terraform's provider finds the pool in a work request by this word.
    work_request_resource_type = "dataflow_pool"

    def __init__(
        self,
        store: Store,
        timeline: Timeline,
        options: Options,
        *,
        work_requests: WorkRequests,
        live_runs: LiveRuns,
        cancel_run: Callable[[str, str], None],
        start_runs: Callable[[], None],
    ) -> None:
        super().__init__(options, work_requests)
        self._store = store
        self._timeline = timeline
        self._live_runs = live_runs
        self._cancel_run = cancel_run
        self._start_runs = start_runs
        self.transitions = Transitions(
            store, POOLS, timeline=timeline, entered=self._entered, may_leave=self._may_leave
        )
        # Number of runs in progress, and their nodes, by pool.
        self._active: Counter[str] = Counter()
        self._used: dict[str, Counter[str]] = {}

    def resume(self) -> None:
        self.transitions.resume()
        for record in self._store.select(POOLS):
            if record.body["lifecycleState"] != PoolLifecycleState.DELETED:
                self._plan_idle_timeout(record)
                self._plan_next_schedule(record)

    def clear(self) -> None:
        self.transitions.clear()
        self._active.clear()
        self._used.clear()

    # --- Operations of the API ------------------------------------------------------------------------------

    def create(self, record: Record, path: str) -> str:
        request = self._begin("CREATE", record, path)
        if record.body["schedules"]:
            self._go(record, PoolLifecycleState.ACCEPTED, PoolLifecycleState.SCHEDULED)
        else:
            self._start(record)
        self._plan_next_schedule(record)
        return request

    def start(self, record: Record, path: str) -> str:
        self._check_state(record, "started", *IDLE_STATES)
        request = self._begin("START", record, path)
        self._start(record)
        return request

    def stop(self, record: Record, path: str) -> str:
        self._check_state(record, "stopped", PoolLifecycleState.ACTIVE)
        request = self._begin("STOP", record, path)
        self._stop(record)
        return request

    def update(self, record: Record, details: JSON, path: str, verb: str = "UPDATE") -> str:
        if verb == "MOVE":
            self._check_state(record, "moved", PoolLifecycleState.STOPPED, PoolLifecycleState.FAILED)
        else:
            self._check_state(record, "updated", PoolLifecycleState.ACTIVE, *IDLE_STATES)
        request = self._begin(verb, record, path)
        afterwards = record.body["lifecycleState"]
        record.body.update(details)
        if afterwards == PoolLifecycleState.SCHEDULED and not record.body["schedules"]:
            afterwards = PoolLifecycleState.STOPPED
        self._go(record, PoolLifecycleState.UPDATING, afterwards)
        self._plan_next_schedule(record)
        return request

    def delete(self, record: Record, path: str) -> str:
        self._check_state(record, "deleted", *IDLE_STATES, PoolLifecycleState.FAILED)
        request = self._begin("DELETE", record, path)
        for run_id in self._live_runs.in_pool(record.id):
            self._cancel_run(run_id, "The run was canceled: its pool was deleted.")
        self._go(record, PoolLifecycleState.DELETING, PoolLifecycleState.DELETED)
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
            "timeLastMetricsUpdated": rfc3339(self._timeline.now()),
            "activeRunsCount": self._active[record.id],
            "activelyUsedNodeCount": [
                {"logicalShape": shape, "count": count} for shape, count in sorted(used.items()) if count
            ],
        }

    # --- Events of runs -------------------------------------------------------------------------------------

    def run_submitted(self, pool_id: str) -> None:
        """Start the pool of a new run if it is idle, unless the options forbid it."""
        record = self._store.get(POOLS, pool_id)
        if (
            record is not None
            and record.body["lifecycleState"] in IDLE_STATES
            and self._options.submission_starts_pool
        ):
            self._start(record)

    def may_start(self, pool_id: str, run: JSON) -> bool:
        """Return whether a pool is active and has enough free nodes for a run."""
        record = self._store.get(POOLS, pool_id)
        if record is None or record.body["lifecycleState"] != PoolLifecycleState.ACTIVE:
            return False
        capacity: Counter[str] = Counter()
        for configuration in record.body["configurations"]:
            capacity[configuration.get("shape") or ""] += (
                configuration.get("max") or configuration.get("min") or 1
            )
        used = self._used.get(pool_id, Counter())
        return all(used[shape] + count <= capacity[shape] for shape, count in needed_nodes(run).items())

    def run_started(self, pool_id: str, run: JSON) -> None:
        self._active[pool_id] += 1
        self._used.setdefault(pool_id, Counter()).update(needed_nodes(run))

    def run_ended(self, pool_id: str, run: JSON) -> None:
        self._active[pool_id] -= 1
        self._used.setdefault(pool_id, Counter()).subtract(needed_nodes(run))
        self.mark_used(pool_id)
        self.transitions.retry(pool_id)

    def mark_used(self, pool_id: str) -> None:
        """Record the use of a pool, which restarts its idle timeout."""
        record = self._store.get(POOLS, pool_id)
        if record is not None:
            record.internal["used"] = self._timeline.now()
            self._store.update_internal(POOLS, record)
            self._plan_idle_timeout(record)

    # --- States ---------------------------------------------------------------------------------------------

    def _start(self, record: Record) -> None:
        self._go(record, PoolLifecycleState.ACCEPTED, PoolLifecycleState.CREATING, PoolLifecycleState.ACTIVE)

    def _stop(self, record: Record) -> None:
        self._go(record, PoolLifecycleState.STOPPING, PoolLifecycleState.STOPPED)
        for run_id in self._live_runs.in_pool(record.id):
            self._cancel_run(run_id, _STOPPED_DETAILS)

    def _may_leave(self, record: Record) -> bool:
        return record.body["lifecycleState"] != PoolLifecycleState.STOPPING or not self._active[record.id]

    def _entered(self, record: Record) -> None:
        state, moment = record.body["lifecycleState"], self._timeline.now()
        if state == PoolLifecycleState.STOPPED and record.internal.get("stopping"):
            record.internal["stopped"] = moment
        record.internal["stopping"] = state == PoolLifecycleState.STOPPING
        if state == PoolLifecycleState.CREATING:
            record.internal["started"] = moment
        self.finish_if_settled(record)
        if state == PoolLifecycleState.ACTIVE:
            self._timeline.plan(moment, self._start_runs)
            self._plan_idle_timeout(record)

    def _plan_idle_timeout(self, record: Record) -> None:
        """Plan to stop a pool at its idle timeout."""
        minutes = record.body.get("idleTimeoutInMinutes")
        state = record.body["lifecycleState"]
        if minutes is None or state != PoolLifecycleState.ACTIVE or self._active[record.id]:
            self._timeline.cancel(record.id, _IDLENESS)
            return

        def due() -> None:
            current = self._store.get(POOLS, record.id)
            if current is None or current.body["lifecycleState"] != PoolLifecycleState.ACTIVE:
                return
            if self._live_runs.in_pool(record.id):
                self._plan_idle_timeout(current)
            else:
                self._stop(current)

        moment = self._timeline.now() + minutes * 60
        self._timeline.plan(moment, due, (record.id, _IDLENESS))

    def _plan_next_schedule(self, record: Record) -> None:
        """Plan the next start or stop of a pool by its schedules."""
        planned = next_action(record.body.get("schedules") or [], self._timeline.now())
        if planned is None:
            self._timeline.cancel(record.id, _SCHEDULES)
            return
        moment, action = planned

        def due() -> None:
            current = self._store.get(POOLS, record.id)
            if current is None:
                return
            state = current.body["lifecycleState"]
            if state in (PoolLifecycleState.DELETING, PoolLifecycleState.DELETED):
                return
            if action == ScheduledAction.START and state in IDLE_STATES:
                self._start(current)
            elif action == ScheduledAction.STOP and state == PoolLifecycleState.ACTIVE:
                self._stop(current)
            self._plan_next_schedule(current)

        self._timeline.plan(moment, due, (record.id, _SCHEDULES))
