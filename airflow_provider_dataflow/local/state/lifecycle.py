"""The life of a run: its states, the queue, the limits of concurrent runs, and what time does to it."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from airflow_provider_dataflow.local.engines.base import Engine, Job, Outcome, Resuming
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.clock import Clock, SystemClock, Timeline, from_rfc3339, rfc3339
from airflow_provider_dataflow.local.state.execute_string import fill_in
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.pools import Pools
from airflow_provider_dataflow.local.state.private_endpoints import PrivateEndpoints
from airflow_provider_dataflow.local.state.run_queue import Lane, WaitingRuns
from airflow_provider_dataflow.local.state.sessions import Sessions
from airflow_provider_dataflow.local.state.store import RUNS, SHOWN_STATE, Filter, Record, Store
from airflow_provider_dataflow.local.state.work_requests import WorkRequests
from airflow_provider_dataflow.models.run import LifecycleState as State
from airflow_provider_dataflow.models.run import is_terminal

log = logging.getLogger(__name__)

SERVER_STOPPED = "Local Data Flow stopped while this run was in progress."
# Runs that are told to stop rather than cancelled.
_STOPPABLE_TYPES = frozenset({"STREAMING", "SESSION"})
_ENDING = {State.CANCELING: State.CANCELED, State.STOPPING: State.STOPPED}
# How long a run waits for resources, as in 1h, 30m or 45min; by default without end, but not in a pool.
QUEUE_TIMEOUT = "spark.dataflow.acquireQuotaTimeout"
_POOL_QUEUE_MINUTES = 20
_MAX_DURATION = "maximum duration"
_TIMEOUT = re.compile(r"(\d{1,6})\s*(s|sec|m|min|h|hr|d)?\Z", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "": 60, "m": 60, "min": 60, "h": 3600, "hr": 3600, "d": 86400}


@dataclass(slots=True)
class _Active:
    """A run that holds a slot, and what else it holds."""

    lane: Lane
    application_id: str
    private_endpoint_id: str | None


class Lifecycle:
    """Every change of a run's state happens here, under ``lock``.

    Whoever calls from outside calls ``settle`` first, which carries out all that has become due since.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        *,
        limit: int,
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
        # May turn a new run down, or note how it is to go. ``notBefore`` in ``internal`` delays it.
        self.on_submit: Callable[[Record], None] = lambda record: None
        # Forgotten by a reset, while the engine was still ending them.
        self.forgotten: set[str] = set()
        self.waiting = WaitingRuns()
        # Those that may not wait for their turn yet.
        self._early: dict[str, Lane] = {}
        self._active: dict[str, _Active] = {}
        self._active_in: Counter[str] = Counter()  # by compartment
        self._closed = False
        self.work_requests = WorkRequests(self)
        self.pools = Pools(self)
        self.private_endpoints = PrivateEndpoints(self)
        self.sessions = Sessions(self)
        engine.bind(self.finished)
        # Whatever happens in a moment is stored as a whole: whoever is killed in its midst goes on before it.
        # Not so where something is really started, as that must be known from then on.
        self._whole: Callable[[], AbstractContextManager[None]] = nullcontext
        if isinstance(engine, Resuming):
            self._whole = self.timeline.around = store.transaction

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
                    if not self._resume(record):
                        self._end(record, self._interrupted(record.id))
            self.sessions.recover()
            resumes = isinstance(self.engine, Resuming)
            # For runs that go on without a server, what was due meanwhile happens now, but in its own moment.
            seen = self.store.last_moment() if resumes else None
            accepted = self.store.select(RUNS, [Filter("state", "=", State.ACCEPTED)])
            for record in sorted(accepted, key=_arrival):
                self._queue(record, seen)
            self.work_requests.transitions.resume()
            self.private_endpoints.transitions.resume()
            self.pools.resume()
            if resumes:
                self.timeline.run_due()
            self.advance()

    def submit(self, record: Record) -> None:
        """Take in a new run. The caller sees it as it is stored: ACCEPTED, even if it starts at once."""
        self.on_submit(record)
        moment = self.now()
        record.body.update(lifecycleState=State.ACCEPTED, timeCreated=rfc3339(moment))
        record.body["timeUpdated"] = record.body["timeCreated"]
        with self.store.transaction():
            self.store.insert(RUNS, record)
            self.store.add_state(record.id, State.ACCEPTED, moment, None)
        self._queue(record)
        if record.body.get("poolId"):
            self.pools.run_submitted(record.body["poolId"])
        self.timeline.plan(moment, self.advance)

    def live_runs(self, compartment_id: str) -> int:
        """How many runs of a compartment have not ended."""
        early = sum(lane.compartment_id == compartment_id for lane in self._early.values())
        return self._active_in[compartment_id] + self.waiting.in_compartment(compartment_id) + early

    def runs_in_pool(self, pool_id: str) -> list[str]:
        """The runs of a pool that have not ended."""
        active = [run_id for run_id, active in self._active.items() if active.lane.pool_id == pool_id]
        early = [run_id for run_id, lane in self._early.items() if lane.pool_id == pool_id]
        return active + self.waiting.in_pool(pool_id) + early

    def uses_private_endpoint(self, private_endpoint_id: str) -> bool:
        return any(a.private_endpoint_id == private_endpoint_id for a in self._active.values())

    def _queue(self, record: Record, now: float | None = None) -> None:
        """Let a run wait for its turn, now or when it is allowed to."""
        lane = Lane(record.body.get("poolId"), record.body["compartmentId"])
        self._plan_queue_timeout(record)
        not_before = record.internal.get("notBefore", 0.0)
        if not_before <= (self.now() if now is None else now):
            self.waiting.add(record.id, lane)
            return
        self._early[record.id] = lane

        def arrive() -> None:
            del self._early[record.id]
            self.waiting.add(record.id, lane)
            self.advance()

        self.timeline.plan(not_before, arrive, (record.id, "arrival"))

    def _plan_queue_timeout(self, record: Record) -> None:
        """Plan to fail a run that does not get its resources in time."""
        text = (record.body.get("configuration") or {}).get(QUEUE_TIMEOUT, "").strip()
        match = _TIMEOUT.match(text)
        if match:
            seconds = int(match[1]) * _SECONDS[(match[2] or "").lower()]
        elif record.body.get("poolId"):
            seconds = _POOL_QUEUE_MINUTES * 60
        else:
            return

        def expire() -> None:
            current = self.store.get(RUNS, record.id)
            if current is not None:
                self._leave_queue(current)
                minutes = f"{seconds / 60:g} minutes"
                self._end(current, Outcome(False, f"No resources became available within {minutes}."))
                self.advance()

        moment = from_rfc3339(record.body["timeCreated"]) + seconds
        self.timeline.plan(moment, expire, (record.id, "queue timeout"))

    def _leave_queue(self, record: Record) -> None:
        self.waiting.remove(record.id)
        self._early.pop(record.id, None)

    def reset(self) -> None:
        """Forget everything. Runs that are active are ended, but not waited for: see ``forgotten``."""
        with self.lock:
            active = list(self._active)
            self.forgotten.update(active)
            self.waiting.clear()
            self._early.clear()
            self._active.clear()
            self._active_in.clear()
            self.work_requests.transitions.forget()
            self.private_endpoints.transitions.forget()
            self.pools.forget()
            self.sessions.forget()
            for run_id in active:
                self.engine.cancel(run_id)
            self.timeline.clear()
            self.store.clear()

    def cancel(self, record: Record, why: str | None = None, *, stop: bool | None = None) -> None:
        """End a run that has not ended: at once while it waits, else as soon as its processes are gone.

        :param stop: whether a run of a type that can be stopped is; by default, if no reason is given
        """
        state = record.body["lifecycleState"]
        if state == State.ACCEPTED:
            self._leave_queue(record)
            with self._whole():
                self._set_state(record, State.CANCELED, why or "The run was canceled before it started.")
                self.advance()
        elif state == State.IN_PROGRESS:
            wants_stop = why is None if stop is None else stop
            stops = wants_stop and record.body.get("type") in _STOPPABLE_TYPES
            record.internal["cancel_details"] = why or f"The run was {'stopped' if stops else 'canceled'}."
            self._set_state(record, State.STOPPING if stops else State.CANCELING)
            self.engine.cancel(record.id)

    def finished(self, run_id: str, outcome: Outcome) -> None:
        """The engine's word that a run has ended."""
        with self.lock:
            self.settle()
            self.forgotten.discard(run_id)
            record = self.store.get(RUNS, run_id)
            if self._closed or record is None or run_id not in self._active:
                return
            self._end(record, outcome)
            self.advance()

    def max_duration_changed(self, record: Record) -> None:
        if record.body["lifecycleState"] == State.IN_PROGRESS:
            self._plan_max_duration(record)

    @staticmethod
    def duration(record: Record, until: float) -> int | None:
        """Milliseconds in progress, until then or to the end; ``None`` before the start."""
        if record.body.get("runDurationInMilliseconds") is not None:
            return int(record.body["runDurationInMilliseconds"])
        started = record.internal.get("started")
        return None if started is None else max(0, round((until - started) * 1000))

    @staticmethod
    def shown(record: Record, state: str) -> str:
        """A state of a run as clients see it."""
        return record.internal.get(SHOWN_STATE) or state if state == State.IN_PROGRESS else state

    def counts(self) -> dict[str, int]:
        return {
            "active": len(self._active),
            "waiting": len(self.waiting) + len(self._early),
            "limit": self.limit,
        }

    def close(self) -> None:
        """End all active runs, unless they go on by themselves; the others are kept for the next start."""
        with self.lock:
            self._closed = True
        self.engine.close()
        if isinstance(self.engine, Resuming):
            return
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

    def advance(self) -> None:
        """Start what may start now."""
        while len(self._active) < self.limit:
            run_id = self.waiting.take(self._may_start)
            if run_id is None:
                return
            record = self.store.get(RUNS, run_id)
            if record is not None:
                self._start(record)

    def _may_start(self, run_id: str, lane: Lane) -> bool:
        most = self.options.max_concurrent_runs_per_compartment
        if most is not None and self._active_in[lane.compartment_id] >= most:
            return False
        if lane.pool_id is None:
            return True
        record = self.store.get(RUNS, run_id)
        return record is None or self.pools.may_start(lane.pool_id, record.body)

    def _start(self, record: Record) -> None:
        body = record.body
        if refusal := self._private_endpoint_conflict(body):
            self._end(record, Outcome(False, refusal))
            return
        record.internal["started"] = self.now()
        active = self._hold(record)
        self._set_state(record, State.IN_PROGRESS)
        self._plan_max_duration(record)
        if active.lane.pool_id is not None:
            self.pools.was_used(active.lane.pool_id)
        self.engine.start(self._job(record))
        self.sessions.run_started(record)

    def _resume(self, record: Record) -> bool:
        """Go on with a run that an earlier process of the server began, if the engine does so."""
        if not isinstance(self.engine, Resuming):
            return False
        asked_to_end = record.body["lifecycleState"] in _ENDING
        cancelled = self.store.states(record.id)[-1][1] if asked_to_end else None
        # First, as at the start: of what is due in the same moment, what was planned first counts.
        if not asked_to_end:
            self._plan_max_duration(record)
        if not self.engine.resume(self._job(record), record.internal["started"], cancelled):
            return False
        self._hold(record)
        self.sessions.run_resumed(record)
        return True

    def _hold(self, record: Record) -> _Active:
        """Let a run have what it takes while it is in progress."""
        body = record.body
        active = self._active[record.id] = _Active(
            Lane(body.get("poolId"), body["compartmentId"]),
            body["applicationId"],
            body.get("privateEndpointId"),
        )
        self._active_in[active.lane.compartment_id] += 1
        if active.lane.pool_id is not None:
            self.pools.run_holds(active.lane.pool_id, body)
        return active

    def _private_endpoint_conflict(self, run: JSON) -> str | None:
        """Of runs of different applications with private endpoints, only one can be in progress."""
        if not run.get("privateEndpointId"):
            return None
        for run_id, active in self._active.items():
            if active.private_endpoint_id is not None and active.application_id != run["applicationId"]:
                return (
                    "Only one application with a private endpoint can have runs at a time: the run "
                    f"{run_id} of the application {active.application_id} is in progress."
                )
        return None

    @staticmethod
    def _job(record: Record) -> Job:
        arguments = fill_in(record.body.get("arguments") or [], record.body.get("parameters") or [])
        return Job(record.id, record.body, record.internal, tuple(arguments))

    def _plan_max_duration(self, record: Record) -> None:
        minutes = record.body.get("maxDurationInMinutes")
        if minutes is None:
            self.timeline.call_off(record.id, _MAX_DURATION)
            return

        def expire() -> None:
            current = self.store.get(RUNS, record.id)
            if current is not None:
                why = f"The run was canceled: it exceeded its maximum duration of {minutes} minutes."
                self.cancel(current, why)

        self.timeline.plan(record.internal["started"] + minutes * 60, expire, (record.id, _MAX_DURATION))

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
            state = State(outcome.state or (State.SUCCEEDED if outcome.succeeded else State.FAILED))
            details = outcome.details
        active = self._active.pop(record.id, None)
        self._set_state(record, state, details)
        if active is not None:
            self._active_in[active.lane.compartment_id] -= 1
            if active.lane.pool_id is not None:
                self.pools.run_ended(active.lane.pool_id, body)
        self.sessions.run_ended(record)
        self.work_requests.run_ended(body["applicationId"])

    def _set_state(self, record: Record, state: State, details: str | None = None) -> None:
        moment = self.now()
        # All that was to come of the state before.
        self.timeline.call_off(record.id)
        body: JSON = record.body
        body["lifecycleState"] = state
        body["timeUpdated"] = rfc3339(moment)
        if details is not None:
            body["lifecycleDetails"] = details
        with self.store.transaction():
            self.store.update(RUNS, record)
            self.store.add_state(record.id, state, moment, details)
        log.info("run %s is %s%s", record.id, state, f": {details}" if details else "")


def _arrival(record: Record) -> float:
    """When an accepted run begins to wait for its turn."""
    return float(record.internal.get("notBefore") or from_rfc3339(record.body["timeCreated"]))


def has_ended(record: Record) -> bool:
    return is_terminal(record.body["lifecycleState"])
