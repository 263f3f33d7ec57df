"""Life cycle of SESSION runs: their statements, one at a time, and their idle timeout."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum

from airflow_provider_dataflow.local.engines.base import Engine, StatementEngine, StatementOutcome
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, invalid
from airflow_provider_dataflow.local.state.clock import Timeline, from_rfc3339, rfc3339
from airflow_provider_dataflow.local.state.store import RUNS, STATEMENTS, Filter, Record, Store
from airflow_provider_dataflow.models.run import LifecycleState

SESSION = "SESSION"
DEFAULT_IDLE_MINUTES = 2880


class StatementLifecycleState(StrEnum):
    """States of a statement; CANCELLED is spelled differently from a run's CANCELED."""

    ACCEPTED = "ACCEPTED"
    IN_PROGRESS = "IN_PROGRESS"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


_LIVE = (
    StatementLifecycleState.ACCEPTED,
    StatementLifecycleState.IN_PROGRESS,
    StatementLifecycleState.CANCELLING,
)


def statement_id(run_id: str, number: int | str) -> str:
    """Return the key of a statement in the store; the API's id is only its number within the run."""
    return f"{run_id}/{number}"


class SessionLifecycle:
    """Runs statements one after the other, and ends sessions that are idle.

    :param settled: context in which the service's state is locked and up to date.
    :param cancel_run: ends a run by its id, with a reason for its ``lifecycleDetails``.
    """

    def __init__(
        self,
        store: Store,
        timeline: Timeline,
        engine: Engine,
        *,
        settled: Callable[[], AbstractContextManager[None]],
        cancel_run: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._timeline = timeline
        self._engine_name = engine.name
        self._engine = engine if isinstance(engine, StatementEngine) else None
        self._settled = settled
        self._cancel_run = cancel_run
        if self._engine is not None:
            self._engine.bind_statements(self.finished)
        # For each session in progress: time of its last use, and number of the statement in progress.
        self._last_used: dict[str, float] = {}
        self._running: dict[str, int] = {}

    def recover(self) -> None:
        """Cancel the statements of an earlier server process, except in sessions that were resumed."""
        for state in _LIVE:
            for record in self._store.select(STATEMENTS, [Filter("state", "=", state)]):
                if record.body["runId"] not in self._last_used:
                    self._end(record, StatementLifecycleState.CANCELLED)

    def clear(self) -> None:
        self._last_used.clear()
        self._running.clear()

    # --- Events of runs -------------------------------------------------------------------------------------

    def run_started(self, run: Record) -> None:
        if run.body.get("type") == SESSION:
            self._mark_used(run.id)

    def run_resumed(self, run: Record) -> None:
        if run.body.get("type") != SESSION:
            return
        self._last_used[run.id] = run.internal["started"]
        for record in self._statements(run.id):
            created = from_rfc3339(record.body["timeCreated"])
            self._last_used[run.id] = max(self._last_used[run.id], created)
            if record.body["lifecycleState"] == StatementLifecycleState.CANCELLING:
                self._end(record, StatementLifecycleState.CANCELLED)
            elif record.body["lifecycleState"] in _LIVE:
                record.body["lifecycleState"] = StatementLifecycleState.ACCEPTED
                self._store.update(STATEMENTS, record)
                self._timeline.plan(created, lambda: self._advance(run.id))
            elif record.body["timeCompleted"]:
                completed = from_rfc3339(record.body["timeCompleted"])
                self._last_used[run.id] = max(self._last_used[run.id], completed)
        if run.body["lifecycleState"] == LifecycleState.IN_PROGRESS:
            self._plan_idle_timeout(run.id)

    def run_ended(self, run: Record) -> None:
        if self._last_used.pop(run.id, None) is None:
            return
        self._running.pop(run.id, None)
        for record in self._statements(run.id):
            if record.body["lifecycleState"] in _LIVE:
                self._end(record, StatementLifecycleState.CANCELLED)

    def idle_timeout_changed(self, run: Record) -> None:
        if run.id in self._last_used:
            self._plan_idle_timeout(run.id)

    # --- Statements -----------------------------------------------------------------------------------------

    def submit(self, run: Record, code: str) -> Record:
        """Store a statement and plan to run it.

        :raises ApiError: the run accepts no statements.
        """
        if run.body.get("type") != SESSION:
            raise invalid("Statements are for runs of the type SESSION only.")
        if run.body["lifecycleState"] != LifecycleState.IN_PROGRESS:
            message = f"The session takes no statements: it is {run.body['lifecycleState']}."
            raise ApiError(409, "IncorrectState", message)
        if self._engine is None or not self._engine.takes_statements(run.body):
            message = f"Local Data Flow's engine {self._engine_name} runs no statements of this kind."
            raise ApiError(501, "MethodNotImplemented", message)
        number = run.internal.get("statements", 0)
        run.internal["statements"] = number + 1
        self._store.update_internal(RUNS, run)
        body: JSON = {
            "id": statement_id(run.id, number),
            "code": code,
            "lifecycleState": StatementLifecycleState.ACCEPTED,
            "output": None,
            "progress": 0.0,
            "runId": run.id,
            "timeCreated": rfc3339(self._timeline.now()),
            "timeCompleted": None,
        }
        record = Record(body, {"number": number})
        self._store.insert(STATEMENTS, record)
        self._mark_used(run.id)
        # Later, so that the caller sees it ACCEPTED.
        self._timeline.plan(self._timeline.now(), lambda: self._advance(run.id))
        return record

    def cancel(self, record: Record) -> None:
        """Cancel a statement. One that has ended stays as it is, as Oracle's test of Terraform expects."""
        state = record.body["lifecycleState"]
        if state == StatementLifecycleState.ACCEPTED:
            self._end(record, StatementLifecycleState.CANCELLED)
        elif state == StatementLifecycleState.IN_PROGRESS and self._engine is not None:
            record.body["lifecycleState"] = StatementLifecycleState.CANCELLING
            self._store.update(STATEMENTS, record)
            self._engine.cancel_statement(record.body["runId"], record.internal["number"])

    def finished(self, run_id: str, number: int, outcome: StatementOutcome) -> None:
        """Called by the engine when a statement has ended."""
        with self._settled():
            record = self._store.get(STATEMENTS, statement_id(run_id, number))
            if record is None or self._running.get(run_id) != number:
                return
            del self._running[run_id]
            if record.body["lifecycleState"] == StatementLifecycleState.CANCELLING:
                self._end(record, StatementLifecycleState.CANCELLED)
            else:
                record.body["output"] = _output(outcome)
                self._end(
                    record,
                    StatementLifecycleState.SUCCEEDED
                    if outcome.succeeded
                    else StatementLifecycleState.FAILED,
                )
            self._mark_used(run_id)
            self._advance(run_id)

    def _advance(self, run_id: str) -> None:
        """Start the next accepted statement of a session if none is in progress."""
        if run_id not in self._last_used or run_id in self._running or self._engine is None:
            return
        for record in self._statements(run_id, StatementLifecycleState.ACCEPTED):
            record.body["lifecycleState"] = StatementLifecycleState.IN_PROGRESS
            self._store.update(STATEMENTS, record)
            self._running[run_id] = record.internal["number"]
            self._engine.run_statement(run_id, record.internal["number"], record.body["code"])
            return

    def _statements(self, run_id: str, state: str | None = None) -> list[Record]:
        filters = [Filter("run_id", "=", run_id)]
        if state is not None:
            filters.append(Filter("state", "=", state))
        return self._store.select(STATEMENTS, filters)

    def _end(self, record: Record, state: StatementLifecycleState) -> None:
        record.body["lifecycleState"] = state
        record.body["timeCompleted"] = rfc3339(self._timeline.now())
        if state != StatementLifecycleState.CANCELLED:
            record.body["progress"] = 1.0
        self._store.update(STATEMENTS, record)

    # --- Idle timeout ---------------------------------------------------------------------------------------

    def _mark_used(self, run_id: str) -> None:
        self._last_used[run_id] = self._timeline.now()
        self._plan_idle_timeout(run_id)

    def _plan_idle_timeout(self, run_id: str) -> None:
        """Plan to stop a session at its idle timeout."""
        run = self._store.get(RUNS, run_id)
        if run is None:
            return
        minutes = run.body.get("idleTimeoutInMinutes") or DEFAULT_IDLE_MINUTES

        def due() -> None:
            current = self._store.get(RUNS, run_id)
            # A statement in progress plans the timeout again when it ends.
            if current is not None and run_id not in self._running:
                reason = f"The session was stopped: it was idle for {minutes} minutes."
                self._cancel_run(run_id, reason)

        self._timeline.plan(self._last_used[run_id] + minutes * 60, due, (run_id, "idleness"))


def _output(outcome: StatementOutcome) -> JSON:
    data = {"type": outcome.type, "value": outcome.value}
    return {
        "data": data if outcome.value is not None else None,
        "status": "OK" if outcome.succeeded else "ERROR",
        "errorName": outcome.error_name,
        "errorValue": outcome.error_value,
        "traceback": list(outcome.traceback) or None,
    }
