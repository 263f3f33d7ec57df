"""Runs jobs on real Spark: one thread here, one supervisor and one Java for each."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import Finished, Job, Outcome, StatementFinished
from airflow_provider_dataflow.local.engines.processes import sweep
from airflow_provider_dataflow.local.engines.spark.class_data import IdleMaker
from airflow_provider_dataflow.local.engines.spark.command import driver_variables
from airflow_provider_dataflow.local.engines.spark.driver import Drivers
from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled, python_executable
from airflow_provider_dataflow.local.engines.spark.memory import HeapWatch
from airflow_provider_dataflow.local.engines.spark.metrics import EventLogs
from airflow_provider_dataflow.local.engines.spark.outcome import outcome_of
from airflow_provider_dataflow.local.engines.spark.preparation import CannotStart, check_storage, prepare
from airflow_provider_dataflow.local.engines.spark.process import SupervisedProcess
from airflow_provider_dataflow.local.engines.spark.runtime import Runtime
from airflow_provider_dataflow.local.engines.spark.statements import LANGUAGES, Statements
from airflow_provider_dataflow.local.engines.spark.trainer import Trainer
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.buckets import Buckets

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    thread: threading.Thread
    events: EventLogs
    process: SupervisedProcess | None = None
    cancelled: bool = False


class SparkEngine:
    name = "spark"

    def __init__(self, home: Path, buckets: Buckets, *, limit: int, warm: bool = True) -> None:
        """
        :param home: the server's folder; the runs' folders are in its ``runs``
        :param limit: how many runs share the machine
        :param warm: make the class-data archive, if there is none, when there is nothing else to do
        """
        self._home = home
        self._buckets = buckets
        self._runtime = Runtime(home)
        self._drivers = Drivers(self._runtime, buckets, limit)
        self._trainer = Trainer(self._runtime, self._is_idle)
        archive = self._runtime.archive
        self._maker = IdleMaker(archive, self._trainer.train, self._trainer.cancel) if warm else None
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._finished: Finished = lambda run_id, outcome: None
        self._statement_finished: StatementFinished = lambda run_id, number, outcome: None
        self._closed = False

    @property
    def spark_version(self) -> str:
        return self._runtime.spark.version

    def describe(self) -> str:
        return self._runtime.describe()

    def bind(self, finished: Finished) -> None:
        self._finished = finished

    def recover(self) -> None:
        if killed := sweep(self._home):
            log.warning("Ended %d processes that an earlier server had left.", killed)
        if self._maker is not None:
            self._maker.start()

    def recovered_outcome(self, run_id: str) -> Outcome | None:
        workspace = self._workspace(run_id)
        if not workspace.path.is_dir():
            return None
        outcome = outcome_of(workspace)
        if workspace.exit_file.exists():
            outcome = replace(outcome, ended=workspace.exit_file.stat().st_mtime)
        self._finish(workspace)
        return outcome

    def progress(self, run_id: str) -> tuple[int, int] | None:
        """The bytes that a run has read and written so far; ``None`` if it does not run."""
        with self._lock:
            running = self._running.get(run_id)
        return None if running is None else running.events.bytes_moved()

    def start(self, job: Job) -> None:
        thread = threading.Thread(target=self._run, args=[job], name=job.run_id[-12:], daemon=True)
        with self._lock:
            if self._closed:
                return
            self._running[job.run_id] = _Running(thread, EventLogs(self._workspace(job.run_id).events))
        thread.start()

    def cancel(self, run_id: str) -> None:
        with self._lock:
            running = self._running.get(run_id)
            if running is not None:
                running.cancelled = True
                if running.process is not None:
                    running.process.cancel()

    def bind_statements(self, finished: StatementFinished) -> None:
        self._statement_finished = finished

    def takes_statements(self, run: JSON) -> bool:
        return run["language"] in LANGUAGES

    def run_statement(self, run_id: str, number: int, code: str) -> None:
        statements = self._statements(run_id)
        statements.ask(number, code)

        def is_alive() -> bool:
            with self._lock:
                return run_id in self._running

        def wait() -> None:
            outcome = statements.wait(number, is_alive)
            if outcome is not None:
                self._statement_finished(run_id, number, outcome)

        threading.Thread(target=wait, name=f"{run_id[-12:]}/{number}", daemon=True).start()

    def cancel_statement(self, run_id: str, number: int) -> None:
        self._statements(run_id).cancel(number)

    def _statements(self, run_id: str) -> Statements:
        return Statements(self._workspace(run_id).statements)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            left = list(self._running.values())
            for running in left:
                running.cancelled = True
                if running.process is not None:
                    running.process.kill()
        if self._maker is not None:
            self._maker.close()
        for running in left:
            running.thread.join()

    def warm_up(self) -> bool:
        """Make the class-data archive now, unless there is one."""
        archive = self._runtime.archive
        return archive.exists() or archive.make(self._trainer.train)

    def _is_idle(self) -> bool:
        with self._lock:
            return not self._closed and not self._running

    def _workspace(self, run_id: str) -> Workspace:
        return Workspace(self._home / "runs" / run_id)

    # Everything below runs in the run's own thread.

    def _run(self, job: Job) -> None:
        if self._maker is not None:
            self._maker.run_starts()
        try:
            outcome = self._run_to_its_end(job)
        except (CannotStart, NotInstalled) as e:
            outcome = Outcome(False, str(e))
        except Exception as e:
            log.exception("run %s", job.run_id)
            outcome = Outcome(False, f"Local Data Flow could not run this: {type(e).__name__}: {e}")
        finally:
            with self._lock:
                closed = self._closed
                self._running.pop(job.run_id, None)
            if self._maker is not None:
                self._maker.run_ended()
        if not closed:
            self._finished(job.run_id, outcome)

    def _run_to_its_end(self, job: Job) -> Outcome:
        check_storage(job, self._buckets)
        workspace = self._workspace(job.run_id)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        workspace.create(stamp, python_executable())
        supervisor_was_killed = False
        try:
            process = self._launch(job, workspace)
            if process is not None:
                with HeapWatch(workspace.gc_log, lambda: _end_exhausted(process, workspace)):
                    supervisor_was_killed = process.wait() is None
        finally:
            outcome = outcome_of(workspace)
            self._finish(workspace)
        if supervisor_was_killed:
            return replace(outcome, details="The supervisor of this run was killed.")
        return outcome

    def _launch(self, job: Job, workspace: Workspace) -> SupervisedProcess | None:
        """:return: ``None`` if the run was cancelled meanwhile"""
        found = prepare(job, workspace, self._buckets)
        command = self._drivers.command(job, workspace, found)
        stderr = self._drivers.stderr(job.run, workspace)
        with self._lock:
            running = self._running[job.run_id]
            if self._closed or running.cancelled:
                return None
            running.process = self._runtime.start(
                job.run_id,
                command,
                workspace,
                stderr=stderr,
                python_path=found.python_path,
                variables=driver_variables(job.run["configuration"] or {}),
            )
            return running.process

    @staticmethod
    def _finish(workspace: Workspace) -> None:
        workspace.finish()
        try:
            workspace.copy_logs()
        except OSError as e:
            log.warning("Could not copy the logs of %s: %s", workspace.path.name, e)


def _end_exhausted(process: SupervisedProcess, workspace: Workspace) -> None:
    """End a run that only collects garbage; ``outcome_of`` says so."""
    workspace.heap_exhausted.touch()
    process.kill()
