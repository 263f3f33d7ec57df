"""The life of a run: its states, the queue, the limit of concurrent runs, and what time does to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from airflow_provider_dataflow.local.clock import Clock, SystemClock, Timeline, rfc3339
from airflow_provider_dataflow.local.engines.base import Engine, Job, Outcome
from airflow_provider_dataflow.local.execute import fill_in
from airflow_provider_dataflow.local.http import JSON
from airflow_provider_dataflow.local.store import RUNS, Filter, Record, Store
from airflow_provider_dataflow.run import LifecycleState as State
from airflow_provider_dataflow.run import is_terminal

log = logging.getLogger(__name__)

SERVER_STOPPED = "Local Data Flow stopped while this run was in progress."
# Runs that are told to stop rather than cancelled.
_STOPPABLE_TYPES = frozenset({"STREAMING", "SESSION"})
_ENDING = {State.CANCELING: State.CANCELED, State.STOPPING: State.STOPPED}


@dataclass(slots=True)
class _Active:
    """A run that holds a slot."""

    started: float


class Lifecycle:
    """Every change of a run's state happens here, under ``lock``.

    Whoever calls from outside calls ``settle`` first, which carries out all that has become due since.
    """

    def __init__(self, store: Store, engine: Engine, *, limit: int, clock: Clock | None = None) -> None:
        self.store = store
        self.engine = engine
        self.limit = limit
        self.clock: Clock = clock or SystemClock()
        self.timeline = Timeline(self.clock)
        self.lock = threading.RLock()
        # Called whenever the next due event may have come nearer.
        self.on_plan: Callable[[], None] = lambda: None
        # In the order of their submission.
        self._waiting: dict[str, None] = {}
        self._active: dict[str, _Active] = {}
        self._closed = False
        engine.bind(self.finished)

    def now(self) -> float:
        return self.timeline.now()

    def settle(self) -> None:
        with self.lock:
            if not self._closed:
                self.timeline.run_due()

    def recover(self) -> None:
        """Account for every run that an earlier process left: to be called once, before anything else."""
        with self.lock:
            self.engine.recover()
            for state in (State.IN_PROGRESS, State.CANCELING, State.STOPPING):
                for record in self.store.select(RUNS, [Filter("state", "=", state)]):
                    self._end(record, self._interrupted(record.id))
            for record in self.store.select(RUNS, [Filter("state", "=", State.ACCEPTED)]):
                self._waiting[record.id] = None
            self._advance()

    def submit(self, record: Record) -> None:
        """Take in a new run. The caller sees it as it is stored: ACCEPTED, even if it starts at once."""
        moment = self.now()
        record.body.update(lifecycleState=State.ACCEPTED, timeCreated=rfc3339(moment))
        record.body["timeUpdated"] = record.body["timeCreated"]
        with self.store.transaction():
            self.store.insert(RUNS, record)
            self.store.add_state(record.id, State.ACCEPTED, moment, None)
        self._waiting[record.id] = None
        self._plan(moment, self._advance)

    def cancel(self, record: Record, why: str | None = None) -> None:
        """End a run that has not ended: at once while it waits, else as soon as its processes are gone."""
        state = record.body["lifecycleState"]
        if state == State.ACCEPTED:
            self._waiting.pop(record.id, None)
            self._set_state(record, State.CANCELED, why or "The run was canceled before it started.")
            self._advance()
        elif state == State.IN_PROGRESS:
            stops = why is None and record.body.get("type") in _STOPPABLE_TYPES
            record.internal["cancel_details"] = why or f"The run was {'stopped' if stops else 'canceled'}."
            self._set_state(record, State.STOPPING if stops else State.CANCELING)
            self.engine.cancel(record.id)

    def finished(self, run_id: str, outcome: Outcome) -> None:
        """The engine's word that a run has ended."""
        with self.lock:
            self.settle()
            record = self.store.get(RUNS, run_id)
            if self._closed or record is None or run_id not in self._active:
                return
            self._end(record, outcome)
            self._advance()

    def max_duration_changed(self, record: Record) -> None:
        active = self._active.get(record.id)
        if active is not None:
            self._plan_max_duration(record, active)

    @staticmethod
    def duration(record: Record, until: float) -> int | None:
        """Milliseconds in progress, until then or to the end; ``None`` before the start."""
        if record.body.get("runDurationInMilliseconds") is not None:
            return int(record.body["runDurationInMilliseconds"])
        started = record.internal.get("started")
        return None if started is None else max(0, round((until - started) * 1000))

    def counts(self) -> dict[str, int]:
        return {"active": len(self._active), "waiting": len(self._waiting), "limit": self.limit}

    def close(self) -> None:
        """End all active runs; those that wait are kept for the next start."""
        with self.lock:
            self._closed = True
        self.engine.close()
        with self.lock:
            for run_id in list(self._active):
                record = self.store.get(RUNS, run_id)
                if record is not None:
                    self._end(record, self._interrupted(run_id))

    def _interrupted(self, run_id: str) -> Outcome:
        outcome = self.engine.recovered_outcome(run_id) or Outcome(False)
        if not outcome.succeeded and outcome.details is None:
            outcome = replace(outcome, details=SERVER_STOPPED)
        return outcome

    def _plan(self, moment: float, action: Callable[[], None]) -> None:
        self.timeline.plan(moment, action)
        self.on_plan()

    def _advance(self) -> None:
        while self._waiting and len(self._active) < self.limit:
            run_id = next(iter(self._waiting))
            del self._waiting[run_id]
            record = self.store.get(RUNS, run_id)
            if record is not None:
                self._start(record)

    def _start(self, record: Record) -> None:
        active = self._active[record.id] = _Active(self.now())
        record.internal["started"] = active.started
        self._set_state(record, State.IN_PROGRESS)
        self._plan_max_duration(record, active)
        self.engine.start(self._job(record))

    @staticmethod
    def _job(record: Record) -> Job:
        arguments = fill_in(record.body.get("arguments") or [], record.body.get("parameters") or [])
        return Job(record.id, record.body, record.internal, tuple(arguments))

    def _plan_max_duration(self, record: Record, active: _Active) -> None:
        minutes = record.body.get("maxDurationInMinutes")
        if minutes is None:
            return

        def expire() -> None:
            current = self.store.get(RUNS, record.id)
            # Ended, or given another limit, since this was planned.
            if current is None or current.body["lifecycleState"] != State.IN_PROGRESS:
                return
            if current.body.get("maxDurationInMinutes") != minutes:
                return
            self.cancel(
                current, f"The run was canceled: it exceeded its maximum duration of {minutes} minutes."
            )

        self._plan(active.started + minutes * 60, expire)

    def _end(self, record: Record, outcome: Outcome) -> None:
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
            state = State.SUCCEEDED if outcome.succeeded else State.FAILED
            details = outcome.details
        self._active.pop(record.id, None)
        self._set_state(record, state, details)

    def _set_state(self, record: Record, state: State, details: str | None = None) -> None:
        moment = self.now()
        body: JSON = record.body
        body["lifecycleState"] = state
        body["timeUpdated"] = rfc3339(moment)
        if details is not None:
            body["lifecycleDetails"] = details
        with self.store.transaction():
            self.store.update(RUNS, record)
            self.store.add_state(record.id, state, moment, details)
        log.info("run %s is %s%s", record.id, state, f": {details}" if details else "")


def has_ended(record: Record) -> bool:
    return is_terminal(record.body["lifecycleState"])
