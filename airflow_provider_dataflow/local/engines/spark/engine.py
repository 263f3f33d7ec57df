"""Engine on real Spark: each run has a thread in the server, a supervisor process, and a Java process."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import (
    EngineJob,
    RunFinished,
    RunOutcome,
    SqlServerEnded,
    SqlServerReady,
    StatementFinished,
)
from airflow_provider_dataflow.local.engines.processes import kill_with_marker
from airflow_provider_dataflow.local.engines.spark.class_data_archive import IdleArchiveBuilder
from airflow_provider_dataflow.local.engines.spark.driver_command import DriverCommand
from airflow_provider_dataflow.local.engines.spark.event_logs import EventLogs
from airflow_provider_dataflow.local.engines.spark.heap_monitor import heap_monitor
from airflow_provider_dataflow.local.engines.spark.installation import (
    NotInstalled,
    python_executable,
    python_version,
)
from airflow_provider_dataflow.local.engines.spark.java_command import driver_variables
from airflow_provider_dataflow.local.engines.spark.outcome import has_failed, outcome_of
from airflow_provider_dataflow.local.engines.spark.preparation import CannotStart, check_storage, prepare
from airflow_provider_dataflow.local.engines.spark.runtime import Runtime
from airflow_provider_dataflow.local.engines.spark.session_channel import LANGUAGES, SessionChannel
from airflow_provider_dataflow.local.engines.spark.supervised_process import SupervisedProcess
from airflow_provider_dataflow.local.engines.spark.thrift_servers import ThriftServers
from airflow_provider_dataflow.local.engines.spark.training_run import TrainingRun
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.buckets import Buckets

log = logging.getLogger(__name__)

#: How often a STREAMING run is started again after a non-zero exit, as in the service.
MAX_RESTARTS = 10


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
        :param home: folder of the server. It has a folder for each run and for each SQL endpoint.
        :param limit: maximum number of concurrent runs, which share the machine.
        :param warm: create the class-data archive, if there is none, while the server is idle.
        """
        self._home = home
        self._buckets = buckets
        self._runtime = Runtime(home)
        self._driver_command = DriverCommand(self._runtime, buckets, limit)
        self._thrift_servers = ThriftServers(
            home / "sqlEndpoints", self._runtime, buckets, self._driver_command
        )
        self._trainer = TrainingRun(self._runtime, self._is_idle)
        archive = self._runtime.archive
        self._maker = IdleArchiveBuilder(archive, self._trainer.train, self._trainer.cancel) if warm else None
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._finished: RunFinished = lambda run_id, outcome: None
        self._statement_finished: StatementFinished = lambda run_id, number, outcome: None
        self._closed = False

    @property
    def spark_version(self) -> str:
        return self._runtime.spark.version

    def python_version(self) -> str | None:
        return python_version(python_executable())

    def describe(self) -> str:
        return self._runtime.describe()

    def bind(self, finished: RunFinished) -> None:
        self._finished = finished

    def recover(self) -> None:
        if killed := kill_with_marker(self._home):
            log.warning("Killed %d processes that an earlier server process had left.", killed)
        if self._maker is not None:
            self._maker.start()

    def recovered_outcome(self, run_id: str) -> RunOutcome | None:
        workspace = self._workspace(run_id)
        if not workspace.path.is_dir():
            return None
        outcome = outcome_of(workspace)
        if workspace.exit_file.exists():
            outcome = replace(outcome, ended=workspace.exit_file.stat().st_mtime)
        self._finish(workspace)
        return outcome

    def bytes_moved(self, run_id: str) -> tuple[int, int] | None:
        with self._lock:
            running = self._running.get(run_id)
        return None if running is None else running.events.bytes_moved()

    def start(self, job: EngineJob) -> None:
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
        channel = self._channel(run_id)
        channel.send(number, code)

        def is_alive() -> bool:
            with self._lock:
                return run_id in self._running

        def wait() -> None:
            outcome = channel.wait(number, is_alive)
            if outcome is not None:
                self._statement_finished(run_id, number, outcome)

        threading.Thread(target=wait, name=f"{run_id[-12:]}/{number}", daemon=True).start()

    def cancel_statement(self, run_id: str, number: int) -> None:
        self._channel(run_id).cancel(number)

    def bind_sql_endpoints(self, ready: SqlServerReady, ended: SqlServerEnded) -> None:
        self._thrift_servers.bind(ready, ended)

    def start_sql_endpoint(self, endpoint: JSON, port: int | None) -> None:
        self._thrift_servers.start(endpoint, port)

    def stop_sql_endpoint(self, endpoint_id: str) -> None:
        self._thrift_servers.stop(endpoint_id)

    def forget_sql_endpoint(self, endpoint_id: str) -> None:
        self._thrift_servers.forget(endpoint_id)

    def _channel(self, run_id: str) -> SessionChannel:
        return SessionChannel(self._workspace(run_id).statements)

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
        self._thrift_servers.close()
        for running in left:
            running.thread.join()

    def warm_up(self) -> Path | None:
        """Create the class-data archive now, unless it exists. Return its folder; None if that failed."""
        archive = self._runtime.archive
        return archive.folder if archive.exists() or archive.make(self._trainer.train) else None

    def _is_idle(self) -> bool:
        with self._lock:
            return not self._closed and not self._running

    def _workspace(self, run_id: str) -> Workspace:
        return Workspace(self._home / "runs" / run_id)

    # --- In the thread of a run -----------------------------------------------------------------------------

    def _run(self, job: EngineJob) -> None:
        if self._maker is not None:
            self._maker.run_started()
        try:
            outcome = self._run_to_its_end(job)
        except (CannotStart, NotInstalled) as e:
            outcome = RunOutcome(False, str(e))
        except Exception as e:
            log.exception("Run %s becomes FAILED because of an error in Local Data Flow.", job.run_id)
            outcome = RunOutcome(False, f"Local Data Flow could not run this: {type(e).__name__}: {e}")
        finally:
            with self._lock:
                closed = self._closed
                self._running.pop(job.run_id, None)
            if self._maker is not None:
                self._maker.run_ended()
        if not closed:
            self._finished(job.run_id, outcome)

    def _run_to_its_end(self, job: EngineJob) -> RunOutcome:
        check_storage(job, self._buckets)
        workspace = self._workspace(job.run_id)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        workspace.create(stamp, python_executable())
        supervisor_was_killed = False
        restarts_left = MAX_RESTARTS if job.run.get("type") == "STREAMING" else 0
        try:
            while True:
                process = self._launch(job, workspace)
                if process is None:
                    break
                with heap_monitor(process, workspace):
                    report = process.wait()
                supervisor_was_killed = report is None
                if not restarts_left or not has_failed(report):
                    break
                restarts_left -= 1
                log.info("Run %s ended with an error; restarts left: %d", job.run_id, restarts_left)
                workspace.exit_file.unlink()
        finally:
            outcome = outcome_of(workspace)
            self._finish(workspace)
        if supervisor_was_killed:
            return replace(outcome, details="The supervisor of this run was killed.")
        return outcome

    def _launch(self, job: EngineJob, workspace: Workspace) -> SupervisedProcess | None:
        """Start the process of a run; return ``None`` if the run was cancelled in the meantime."""
        found = prepare(job, workspace, self._buckets)
        command = self._driver_command.build(job, workspace, found)
        stderr = self._driver_command.stderr(job.run, workspace)
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
            log.warning("Run %s: could not copy its logs to logsBucketUri: %s", workspace.path.name, e)
