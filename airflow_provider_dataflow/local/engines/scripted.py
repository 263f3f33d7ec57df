"""Engine that executes nothing: each run follows its script, on the clock of the service.

It has no threads. It plans all events on the timeline of the service.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import (
    EngineJob,
    RunFinished,
    RunOutcome,
    StatementFinished,
    StatementOutcome,
)
from airflow_provider_dataflow.local.engines.rules import Rules, RunScript
from airflow_provider_dataflow.local.http.messages import JSON, invalid
from airflow_provider_dataflow.local.state.clock import SystemClock, Timeline
from airflow_provider_dataflow.local.state.run_logs import (
    APPLICATION_STDERR,
    APPLICATION_STDOUT,
    diagnostics_name,
)
from airflow_provider_dataflow.local.state.store import SHOWN_STATE, Record
from airflow_provider_dataflow.models.run import LifecycleState as State

# Key in a run's internal fields: its script, as JSON. The value is part of the stored state.
SCRIPT = "course"


class ScriptedEngine:
    name = "scripted"

    def __init__(self, runs_folder: Path) -> None:
        self.rules = Rules()
        self._folder = runs_folder
        # Scripts of the runs in progress, by run id.
        self._running: dict[str, RunScript] = {}
        self._finished: RunFinished = lambda run_id, outcome: None
        self._statement_finished: StatementFinished = lambda run_id, number, outcome: None
        self._timeline = Timeline(SystemClock())

    def describe(self) -> str:
        return "scripted runs, without Spark"

    def bind(self, finished: RunFinished) -> None:
        self._finished = finished

    def use_timeline(self, timeline: Timeline) -> None:
        """Set the timeline for the events of runs. Called once, before the first run."""
        self._timeline = timeline

    def prepare(self, record: Record) -> None:
        """Choose the script of a new run, and store it with the run: later changes of rules do not affect it.

        :raises ApiError: 400, the run's configuration has an invalid script.
        """
        try:
            script = RunScript.from_configuration(record.body.get("configuration") or {})
        except ValueError as e:
            raise invalid(f"{e}.") from None
        rule_script = self.rules.next_script(record.body)
        if rule_script is not None:
            script = rule_script.over(script)
        record.internal[SCRIPT] = script.as_json()
        if script.state is not None:
            record.internal[SHOWN_STATE] = script.state
        if script.startup is not None:
            record.internal["notBefore"] = self._timeline.now() + script.startup

    def recover(self) -> None: ...

    def recovered_outcome(self, run_id: str) -> RunOutcome | None:
        return None

    def start(self, job: EngineJob) -> None:
        self._start(job, self._timeline.now())

    def _start(self, job: EngineJob, moment: float) -> None:
        script = self._running[job.run_id] = RunScript.from_json(job.internal.get(SCRIPT, {}))
        endless = script.outcome is None and script.duration is None and job.run.get("type") == "SESSION"
        if not endless and script.outcome != State.IN_PROGRESS:
            self._plan_end(job.run_id, moment + (script.duration or 0.0), _outcome(script))

    def cancel(self, run_id: str) -> None:
        if run_id in self._running:
            self._cancel(run_id, self._timeline.now())

    def _cancel(self, run_id: str, moment: float) -> None:
        script = self._running[run_id]
        # The declared outcome does not apply, because the run does not reach its end.
        outcome = replace(_outcome(script), succeeded=False, details=None, state=None)
        self._plan_end(run_id, moment + (script.cancel_duration or 0.0), outcome)

    def end(self, run_id: str, script: RunScript) -> bool:
        """End a run now, with a script that takes precedence over the run's own one.

        :return: ``False`` if the run was not in progress.
        """
        if run_id not in self._running:
            return False
        ended = replace(script.over(self._running[run_id]), outcome=script.outcome or State.SUCCEEDED)
        self._plan_end(run_id, self._timeline.now(), _outcome(ended))
        return True

    def resume(self, job: EngineJob, started: float, cancelled: float | None) -> bool:
        if SCRIPT not in job.internal:
            return False
        self._start(job, started)
        if cancelled is not None:
            self._cancel(job.run_id, cancelled)
        return True

    def bind_statements(self, finished: StatementFinished) -> None:
        self._statement_finished = finished

    def takes_statements(self, run: JSON) -> bool:
        return True

    def run_statement(self, run_id: str, number: int, code: str) -> None:
        """Fail a statement whose code starts with ``raise``; let all others succeed."""
        script = self._running.get(run_id)
        output = script.statement_output if script is not None else None
        outcome = StatementOutcome(True, value=code if output is None else output)
        if code.startswith("raise "):
            name, _, value = code.removeprefix("raise ").rstrip(") ").partition("(")
            outcome = StatementOutcome(
                False, error_name=name, error_value=value.strip("'\""), traceback=(code,)
            )
        now = self._timeline.now()
        self._timeline.plan(now, lambda: self._statement_finished(run_id, number, outcome))

    def cancel_statement(self, run_id: str, number: int) -> None:
        """Do nothing: statements of scripted runs end at once."""

    def reset(self) -> None:
        self._running.clear()
        self.rules.set([])

    def close(self) -> None:
        self._running.clear()

    def _plan_end(self, run_id: str, moment: float, outcome: RunOutcome) -> None:
        """Plan the end of a run, replacing the one that was planned before."""

        def end() -> None:
            del self._running[run_id]
            self._finished(run_id, outcome)

        self._timeline.plan(moment, end, (run_id, "end"))

    def write_logs(self, record: Record) -> None:
        """Write the logs of a run when they are first requested, which for most runs never happens."""
        folder = self._folder / record.id / "logs"
        moment = record.internal.get("started")
        if moment is None or folder.exists():
            return
        script = RunScript.from_json(record.internal.get(SCRIPT, {}))
        folder.mkdir(parents=True)
        stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
        texts = {
            APPLICATION_STDOUT: script.stdout or "",
            APPLICATION_STDERR: script.stderr or "",
            diagnostics_name("driver", stamp): f"A scripted run: {script.as_json()}\n",
        }
        for name, text in texts.items():
            path = folder / name
            path.write_bytes(text.encode("utf-8", "replace"))
            os.utime(path, (moment, moment))


def _outcome(script: RunScript) -> RunOutcome:
    outcome = script.outcome or State.SUCCEEDED
    details = script.details
    if outcome == State.FAILED and details is None:
        details = "The application failed, as its script says."
    other = outcome if outcome in (State.CANCELED, State.STOPPED) else None
    return RunOutcome(
        outcome == State.SUCCEEDED, details, script.bytes_read or 0, script.bytes_written or 0, state=other
    )
