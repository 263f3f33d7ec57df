"""Runs nothing: each run goes as its configuration or a rule says, on the service's clock.

There are no threads here. Whatever is to happen is planned on the timeline of the service.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import (
    Finished,
    Job,
    Outcome,
    StatementFinished,
    StatementOutcome,
)
from airflow_provider_dataflow.local.engines.rules import Course, Rules
from airflow_provider_dataflow.local.http.messages import JSON, invalid
from airflow_provider_dataflow.local.state.clock import SystemClock, Timeline
from airflow_provider_dataflow.local.state.run_logs import (
    APPLICATION_STDERR,
    APPLICATION_STDOUT,
    diagnostics_name,
)
from airflow_provider_dataflow.local.state.store import SHOWN_STATE, Record
from airflow_provider_dataflow.models.run import LifecycleState as State

# Of a record's ``internal``.
COURSE = "course"


class ScriptedEngine:
    name = "scripted"

    def __init__(self, runs_folder: Path) -> None:
        self.rules = Rules()
        self._folder = runs_folder
        # How those go that are in progress.
        self._running: dict[str, Course] = {}
        self._finished: Finished = lambda run_id, outcome: None
        self._statement_finished: StatementFinished = lambda run_id, number, outcome: None
        self._timeline = Timeline(SystemClock())

    def describe(self) -> str:
        return "scripted runs, without Spark"

    def bind(self, finished: Finished) -> None:
        self._finished = finished

    def use_time(self, timeline: Timeline) -> None:
        """By what the engine lives: called once, before any run."""
        self._timeline = timeline

    def admit(self, record: Record) -> None:
        """Settle how a new run will go, once and for all, and keep that with the run.

        :raises ApiError: 400, if its configuration says something that cannot be
        """
        try:
            course = Course.from_configuration(record.body.get("configuration") or {})
        except ValueError as e:
            raise invalid(f"{e}.") from None
        attempt = self.rules.take(record.body)
        if attempt is not None:
            course = attempt.over(course)
        record.internal[COURSE] = course.as_json()
        if course.state is not None:
            record.internal[SHOWN_STATE] = course.state
        if course.startup:
            record.internal["notBefore"] = self._timeline.now() + course.startup

    def recover(self) -> None: ...

    def recovered_outcome(self, run_id: str) -> Outcome | None:
        return None

    def start(self, job: Job) -> None:
        self._start(job, self._timeline.now())

    def _start(self, job: Job, moment: float) -> None:
        course = self._running[job.run_id] = Course.from_json(job.internal.get(COURSE, {}))
        endless = course.outcome is None and course.duration is None and job.run.get("type") == "SESSION"
        if not endless and course.outcome != State.IN_PROGRESS:
            self._plan_end(job.run_id, moment + (course.duration or 0.0), _outcome(course))

    def cancel(self, run_id: str) -> None:
        if run_id in self._running:
            self._cancel(run_id, self._timeline.now())

    def _cancel(self, run_id: str, moment: float) -> None:
        course = self._running[run_id]
        # Not what was to come: it did not come to that.
        outcome = replace(_outcome(course), succeeded=False, details=None, state=None)
        self._plan_end(run_id, moment + (course.cancel_duration or 0.0), outcome)

    def end(self, run_id: str, course: Course) -> bool:
        """End a run now, as a course says, and where it does not say, as the run's own.

        :return: whether it was in progress
        """
        if run_id not in self._running:
            return False
        ended = replace(course.over(self._running[run_id]), outcome=course.outcome or State.SUCCEEDED)
        self._plan_end(run_id, self._timeline.now(), _outcome(ended))
        return True

    def resume(self, job: Job, started: float, cancelled: float | None) -> bool:
        if COURSE not in job.internal:
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
        """One that raises something fails; any other succeeds."""
        course = self._running.get(run_id)
        output = course.statement_output if course is not None else None
        outcome = StatementOutcome(True, value=code if output is None else output)
        if code.startswith("raise "):
            name, _, value = code.removeprefix("raise ").rstrip(") ").partition("(")
            outcome = StatementOutcome(
                False, error_name=name, error_value=value.strip("'\""), traceback=(code,)
            )
        now = self._timeline.now()
        self._timeline.plan(now, lambda: self._statement_finished(run_id, number, outcome))

    def cancel_statement(self, run_id: str, number: int) -> None:
        """It ends by itself."""

    def reset(self) -> None:
        self._running.clear()
        self.rules.set([])

    def close(self) -> None:
        self._running.clear()

    def _plan_end(self, run_id: str, moment: float, outcome: Outcome) -> None:
        """Instead of the end that was planned before, if one was."""

        def end() -> None:
            del self._running[run_id]
            self._finished(run_id, outcome)

        self._timeline.plan(moment, end, (run_id, "end"))

    def write_logs(self, record: Record) -> None:
        """Called when somebody asks for the logs of a run: of most, nobody ever does."""
        folder = self._folder / record.id / "logs"
        moment = record.internal.get("started")
        if moment is None or folder.exists():
            return
        course = Course.from_json(record.internal.get(COURSE, {}))
        folder.mkdir(parents=True)
        stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
        texts = {
            APPLICATION_STDOUT: course.stdout or "",
            APPLICATION_STDERR: course.stderr or "",
            diagnostics_name("driver", stamp): f"A scripted run: {course.as_json()}\n",
        }
        for name, text in texts.items():
            path = folder / name
            path.write_bytes(text.encode("utf-8", "replace"))
            os.utime(path, (moment, moment))


def _outcome(course: Course) -> Outcome:
    outcome = course.outcome or State.SUCCEEDED
    details = course.details
    if outcome == State.FAILED and details is None:
        details = "The application failed, as its script says."
    other = outcome if outcome in (State.CANCELED, State.STOPPED) else None
    return Outcome(
        outcome == State.SUCCEEDED, details, course.bytes_read or 0, course.bytes_written or 0, state=other
    )
