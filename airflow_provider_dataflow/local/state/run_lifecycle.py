"""Life cycle of runs: states, queue, limits on concurrent runs, and timeouts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from airflow_provider_dataflow.local.engines.base import Engine, EngineJob, ResumableEngine, RunOutcome
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.clock import Clock, SystemClock, Timeline, from_rfc3339, rfc3339
from airflow_provider_dataflow.local.state.execute_string import fill_in
from airflow_provider_dataflow.local.state.live_runs import LiveRuns
from airflow_provider_dataflow.local.state.maintenance import StreamingMaintenance
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.pool_lifecycle import PoolLifecycle
from airflow_provider_dataflow.local.state.private_endpoint_lifecycle import PrivateEndpointLifecycle
from airflow_provider_dataflow.local.state.run_queue import QueueLane, queue_timeout_seconds
from airflow_provider_dataflow.local.state.session_lifecycle import SessionLifecycle
from airflow_provider_dataflow.local.state.sql_endpoint_lifecycle import SqlEndpointLifecycle
from airflow_provider_dataflow.local.state.store import RUNS, SHOWN_STATE, Filter, Record, Store
from airflow_provider_dataflow.local.state.work_requests import WorkRequests
from airflow_provider_dataflow.models.run import LifecycleState as State
from airflow_provider_dataflow.models.run import is_terminal

log = logging.getLogger(__name__)

SERVER_STOPPED = "Local Data Flow stopped while this run was in progress."
# Types of runs that a user stops (STOPPED) rather than cancels (CANCELED).
_STOPPABLE_TYPES = frozenset({"STREAMING", "SESSION"})
_ENDING = {State.CANCELING: State.CANCELED, State.STOPPING: State.STOPPED}
# Key in a run's internal fields: moment of its earliest start.
_NOT_BEFORE = "notBefore"
# Name of a planned event.
_MAX_DURATION = "maximum duration"


class RunLifecycle:
    """Changes the states of runs, under ``lock``.

    Callers from outside call ``settle`` first, which carries out the planned events that are due.

    :param limit: number of runs in progress at a time; ``None``: unlimited.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        *,
        limit: int | None,
        clock: Clock | None = None,
        options: Options | None = None,
    ) -> None:
        self.store = store
        self.options = options or Options()
        self.engine = engine
        self.limit = limit
        self.clock: Clock = clock or SystemClock()
        self.timeline = Timeline(self.clock)
        self.lock = threading.RLock()
        # May refuse a new run, or set ``notBefore`` in its ``internal`` fields, which delays it.
        self.on_submit: Callable[[Record], None] = lambda record: None
        # Runs and SQL endpoints that a reset deleted, and that the engine has not ended yet.
        self.forgotten: set[str] = set()
        self.live_runs = LiveRuns()
        self._closed = False
        self.work_requests = WorkRequests(store, self.timeline, self.options)
        self.private_endpoints = PrivateEndpointLifecycle(
            store, self.timeline, self.options, work_requests=self.work_requests, live_runs=self.live_runs
        )
        self.pools = PoolLifecycle(
            store,
            self.timeline,
            self.options,
            work_requests=self.work_requests,
            live_runs=self.live_runs,
            cancel_run=self._end_by_service,
            start_runs=self.start_runs,
        )
        self.sql_endpoints = SqlEndpointLifecycle(
            store,
            self.timeline,
            self.options,
            work_requests=self.work_requests,
            engine=engine,
            settled=self._settled,
            forgotten=self.forgotten,
        )
        self.sessions = SessionLifecycle(
            store, self.timeline, engine, settled=self._settled, cancel_run=self._end_by_service
        )
        self.maintenance = StreamingMaintenance(
            store,
            self.timeline,
            submit=self.submit,
            stop=lambda record, reason: self.cancel(record, reason, stop=True),
        )
        engine.bind(self.finished)
        # With an engine whose runs continue without a server, each event is one transaction, so that a killed
        # server repeats it. Real processes must be recorded as soon as they start.
        self._transaction: Callable[[], AbstractContextManager[None]] = nullcontext
        if isinstance(engine, ResumableEngine):
            self._transaction = self.timeline.around = store.transaction

    def now(self) -> float:
        return self.timeline.now()

    def settle(self) -> None:
        """Carry out the planned events that are due."""
        with self.lock:
            if not self._closed:
                self.timeline.run_due()

    @contextmanager
    def _settled(self) -> Iterator[None]:
        with self.lock:
            self.settle()
            yield

    def recover(self) -> None:
        """Resume or end every run that an earlier server process left. Called once, first."""
        with self.lock:
            self.engine.recover()
            for state in (State.IN_PROGRESS, State.CANCELING, State.STOPPING):
                for record in self.store.select(RUNS, [Filter("state", "=", state)]):
                    if not self._resume(record):
                        self._end(record, self._interrupted(record.id))
            self.sessions.recover()
            resumes = isinstance(self.engine, ResumableEngine)
            # Events that were due while there was no server are carried out now, with the time they were due.
            seen = self.store.last_moment() if resumes else None
            accepted = self.store.select(RUNS, [Filter("state", "=", State.ACCEPTED)])
            for record in sorted(accepted, key=_arrival):
                self._queue(record, seen)
            self.work_requests.transitions.resume()
            self.private_endpoints.transitions.resume()
            self.sql_endpoints.resume()
            self.pools.resume()
            self.maintenance.recover()
            if resumes:
                self.timeline.run_due()
            self.start_runs()

    def submit(self, record: Record) -> None:
        """Store a new run as ACCEPTED. It starts in a later event, so that the caller sees it ACCEPTED."""
        self.on_submit(record)
        moment = self.now()
        if self.options.startup_seconds:
            record.internal.setdefault(_NOT_BEFORE, moment + self.options.startup_seconds)
        record.body.update(lifecycleState=State.ACCEPTED, timeCreated=rfc3339(moment))
        record.body["timeUpdated"] = record.body["timeCreated"]
        with self.store.transaction():
            self.store.insert(RUNS, record)
            self.store.add_state(record.id, State.ACCEPTED, moment, None)
        self._queue(record)
        if record.body.get("poolId"):
            self.pools.run_submitted(record.body["poolId"])
        self.timeline.plan(moment, self.start_runs)

    def _queue(self, record: Record, now: float | None = None) -> None:
        """Add a run to the queue, now or at its ``notBefore``."""
        lane = QueueLane(record.body.get("poolId"), record.body["compartmentId"])
        self._plan_queue_timeout(record)
        not_before = record.internal.get(_NOT_BEFORE, 0.0)
        if not_before <= (self.now() if now is None else now):
            self.live_runs.enqueue(record.id, lane)
            return
        self.live_runs.delay(record.id, lane)

        def arrive() -> None:
            self.live_runs.enqueue(record.id, lane)
            self.start_runs()

        self.timeline.plan(not_before, arrive, (record.id, "arrival"))

    def _plan_queue_timeout(self, record: Record) -> None:
        """Plan to fail a run that has not started by its queue timeout."""
        seconds = queue_timeout_seconds(record.body)
        if seconds is None:
            return

        def expire() -> None:
            current = self.store.get(RUNS, record.id)
            if current is not None:
                self.live_runs.leave_queue(current.id)
                minutes = f"{seconds / 60:g} minutes"
                self._end(current, RunOutcome(False, f"No resources became available within {minutes}."))
                self.start_runs()

        moment = from_rfc3339(record.body["timeCreated"]) + seconds
        self.timeline.plan(moment, expire, (record.id, "queue timeout"))

    def reset(self) -> None:
        """Delete everything. Runs in progress are ended in the background, see ``forgotten``."""
        with self.lock:
            active = self.live_runs.active_ids
            self.forgotten.update(active)
            self.live_runs.clear()
            self.work_requests.transitions.clear()
            self.private_endpoints.transitions.clear()
            self.sql_endpoints.clear()
            self.pools.clear()
            self.sessions.clear()
            for run_id in active:
                self.engine.cancel(run_id)
            self.timeline.clear()
            self.store.clear()

    def cancel(self, record: Record, reason: str | None = None, *, stop: bool | None = None) -> None:
        """End a run: at once while it is queued, otherwise when its processes have ended.

        :param reason: text for ``lifecycleDetails``. Default: a user asked for it.
        :param stop: whether a STREAMING or SESSION run becomes STOPPED. Default: if no reason is given.
        """
        state = record.body["lifecycleState"]
        if state == State.ACCEPTED:
            self.live_runs.leave_queue(record.id)
            with self._transaction():
                self._set_state(record, State.CANCELED, reason or "The run was canceled before it started.")
                self.start_runs()
        elif state == State.IN_PROGRESS:
            wants_stop = reason is None if stop is None else stop
            stops = wants_stop and record.body.get("type") in _STOPPABLE_TYPES
            by_user = f"The run was {'stopped' if stops else 'canceled'} by a user."
            record.internal["cancel_details"] = reason or by_user
            self._set_state(record, State.STOPPING if stops else State.CANCELING)
            self.engine.cancel(record.id)

    def _end_by_service(self, run_id: str, reason: str) -> None:
        run = self.store.get(RUNS, run_id)
        if run is not None:
            self.cancel(run, reason, stop=True)

    def finished(self, run_id: str, outcome: RunOutcome) -> None:
        """Called by the engine when a run has ended."""
        with self._settled():
            self.forgotten.discard(run_id)
            record = self.store.get(RUNS, run_id)
            if self._closed or record is None or not self.live_runs.is_active(run_id):
                return
            self._end(record, outcome)
            self.start_runs()

    def max_duration_changed(self, record: Record) -> None:
        if record.body["lifecycleState"] == State.IN_PROGRESS:
            self._plan_max_duration(record)

    @staticmethod
    def duration(record: Record, until: float) -> int | None:
        """Return the milliseconds in progress, up to a moment or the run's end; ``None`` before its start."""
        if record.body.get("runDurationInMilliseconds") is not None:
            return int(record.body["runDurationInMilliseconds"])
        started = record.internal.get("started")
        return None if started is None else max(0, round((until - started) * 1000))

    @staticmethod
    def shown_state(record: Record, state: str) -> str:
        """Return a state as clients see it: a rule can replace IN_PROGRESS."""
        return record.internal.get(SHOWN_STATE) or state if state == State.IN_PROGRESS else state

    def counts(self) -> dict[str, int | None]:
        """Return the numbers of runs; ``limit`` is ``None`` if all may be active at once."""
        return {
            "active": self.live_runs.active_count,
            "waiting": self.live_runs.waiting_count,
            "limit": self.limit,
        }

    def close(self) -> None:
        """End all runs in progress, unless they continue without a server. Queued runs stay queued."""
        with self.lock:
            self._closed = True
        self.engine.close()
        if isinstance(self.engine, ResumableEngine):
            return
        with self.lock:
            for run_id in self.live_runs.active_ids:
                record = self.store.get(RUNS, run_id)
                if record is not None:
                    self._end(record, self._interrupted(run_id))

    def _interrupted(self, run_id: str) -> RunOutcome:
        outcome = self.engine.recovered_outcome(run_id) or RunOutcome(False)
        if not outcome.succeeded and outcome.details is None:
            outcome = replace(outcome, details=SERVER_STOPPED)
        return outcome

    def start_runs(self) -> None:
        """Start the queued runs that may start now."""
        while self.limit is None or self.live_runs.active_count < self.limit:
            run_id = self.live_runs.take_next(self._may_start)
            if run_id is None:
                return
            record = self.store.get(RUNS, run_id)
            if record is not None:
                self._start(record)

    def _may_start(self, run_id: str, lane: QueueLane) -> bool:
        most = self.options.max_concurrent_runs_per_compartment
        if most is not None and self.live_runs.active_in_compartment(lane.compartment_id) >= most:
            return False
        if lane.pool_id is None:
            return True
        record = self.store.get(RUNS, run_id)
        return record is None or self.pools.may_start(lane.pool_id, record.body)

    def _start(self, record: Record) -> None:
        body = record.body
        if conflict := self.live_runs.private_endpoint_conflict(body):
            self._end(record, RunOutcome(False, conflict))
            return
        record.internal["started"] = self.now()
        self._activate(record)
        self._set_state(record, State.IN_PROGRESS)
        self._plan_max_duration(record)
        if pool_id := body.get("poolId"):
            self.pools.mark_used(pool_id)
        if private_endpoint_id := body.get("privateEndpointId"):
            self.private_endpoints.run_started(private_endpoint_id)
        self.engine.start(self._job(record))
        self.sessions.run_started(record)

    def _resume(self, record: Record) -> bool:
        """Resume a run that an earlier server process started, if the engine can."""
        if not isinstance(self.engine, ResumableEngine):
            return False
        asked_to_end = record.body["lifecycleState"] in _ENDING
        cancelled = self.store.states(record.id)[-1][1] if asked_to_end else None
        # In the order of _start: of events due at the same time, the one planned first is carried out first.
        if not asked_to_end:
            self._plan_max_duration(record)
        if not self.engine.resume(self._job(record), record.internal["started"], cancelled):
            return False
        self._activate(record)
        self.sessions.run_resumed(record)
        return True

    def _activate(self, record: Record) -> None:
        active = self.live_runs.activate(record.id, record.body)
        if active.lane.pool_id is not None:
            self.pools.run_started(active.lane.pool_id, record.body)

    @staticmethod
    def _job(record: Record) -> EngineJob:
        arguments = fill_in(record.body.get("arguments") or [], record.body.get("parameters") or [])
        return EngineJob(record.id, record.body, record.internal, tuple(arguments))

    def _plan_max_duration(self, record: Record) -> None:
        minutes = record.body.get("maxDurationInMinutes")
        if minutes is None:
            self.timeline.cancel(record.id, _MAX_DURATION)
            return

        def expire() -> None:
            current = self.store.get(RUNS, record.id)
            if current is not None:
                reason = f"The run was canceled: it exceeded its maximum duration of {minutes} minutes."
                self.cancel(current, reason)

        self.timeline.plan(record.internal["started"] + minutes * 60, expire, (record.id, _MAX_DURATION))

    def _end(self, record: Record, outcome: RunOutcome) -> None:
        body = record.body
        was_asked_to_end = _ENDING.get(body["lifecycleState"])
        ended = self.now() if outcome.ended is None else outcome.ended
        body["runDurationInMilliseconds"] = self.duration(record, ended)
        if outcome.bytes_read is not None:
            body["dataReadInBytes"] = outcome.bytes_read
        if outcome.bytes_written is not None:
            body["dataWrittenInBytes"] = outcome.bytes_written
        if was_asked_to_end is not None:
            state, details = was_asked_to_end, record.internal.get("cancel_details") or outcome.details
        else:
            state = State(outcome.state or (State.SUCCEEDED if outcome.succeeded else State.FAILED))
            details = outcome.details
        active = self.live_runs.deactivate(record.id)
        self._set_state(record, state, details)
        if active is not None and active.lane.pool_id is not None:
            self.pools.run_ended(active.lane.pool_id, body)
        self.sessions.run_ended(record)
        self.maintenance.run_ended(record)
        self.work_requests.run_ended(body["applicationId"])

    def _set_state(self, record: Record, state: State, details: str | None = None) -> None:
        moment = self.now()
        # Events that were planned for the previous state.
        self.timeline.cancel(record.id)
        body: JSON = record.body
        body["lifecycleState"] = state
        body["timeUpdated"] = rfc3339(moment)
        if details is not None:
            body["lifecycleDetails"] = details
        with self.store.transaction():
            self.store.update(RUNS, record)
            self.store.add_state(record.id, state, moment, details)
        log.info("Run %s is %s%s", record.id, state, f": {details}" if details else "")


def _arrival(record: Record) -> float:
    """Return when an accepted run joins the queue."""
    return float(record.internal.get(_NOT_BEFORE) or from_rfc3339(record.body["timeCreated"]))


def has_ended(record: Record) -> bool:
    return is_terminal(record.body["lifecycleState"])
