"""Runs jobs on real Spark: one thread here, one supervisor and one Java for each."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_dataflow.local.buckets import DEFAULT_NAMESPACE, Buckets, mentioned
from airflow_provider_dataflow.local.engines.base import Finished, Job, Outcome, StatementFinished
from airflow_provider_dataflow.local.engines.spark.class_data import ClassDataArchive, IdleMaker
from airflow_provider_dataflow.local.engines.spark.command import (
    environment,
    heap_mib,
    java_command,
    submit_arguments,
)
from airflow_provider_dataflow.local.engines.spark.details import failure_details
from airflow_provider_dataflow.local.engines.spark.installation import (
    NotInstalled,
    find_java,
    find_spark,
    python_executable,
)
from airflow_provider_dataflow.local.engines.spark.metrics import EventLogs, bytes_moved
from airflow_provider_dataflow.local.engines.spark.process import SupervisedProcess, read_exit_file
from airflow_provider_dataflow.local.engines.spark.properties import (
    dependencies,
    format_properties,
    run_properties,
)
from airflow_provider_dataflow.local.engines.spark.statements import LANGUAGES, SCRIPT, Statements
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.http import JSON
from airflow_provider_dataflow.local.logs import APPLICATION_STDERR, APPLICATION_STDOUT
from airflow_provider_dataflow.local.machine import Machine
from airflow_provider_dataflow.local.processes import sweep
from airflow_provider_dataflow.local.shapes import describe, memory_gib, ocpus
from airflow_provider_dataflow.local.supervisor import REASON_EXIT

log = logging.getLogger(__name__)

_TRAINING = "class-data"
_PATTERN = re.compile(r"[*?\[{]")


def _is_session(run: JSON) -> bool:
    return run.get("type") == "SESSION"


class CannotStart(Exception):
    """The run fails before Spark starts; the message becomes its ``lifecycleDetails``."""


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
        self._limit = limit
        self._machine = Machine.this()
        self._spark = find_spark()
        self._java = find_java(self._spark)
        self._archive = ClassDataArchive(self._spark, self._java)
        self._training: SupervisedProcess | None = None
        self._maker = IdleMaker(self._archive, self._train, self._cancel_training) if warm else None
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._finished: Finished = lambda run_id, outcome: None
        self._statement_finished: StatementFinished = lambda run_id, number, outcome: None
        self._closed = False

    @property
    def spark_version(self) -> str:
        return self._spark.version

    def describe(self) -> str:
        return f"Spark {self._spark.version} on Java {self._java.major} ({self._java.home})"

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
        content = read_exit_file(workspace.exit_file)
        ended = workspace.exit_file.stat().st_mtime if content is not None else None
        outcome = self._outcome(workspace, content, ended)
        self._finish(workspace)
        return outcome

    @staticmethod
    def _finish(workspace: Workspace) -> None:
        workspace.finish()
        try:
            workspace.copy_logs()
        except OSError as e:
            log.warning("Could not copy the logs of %s: %s", workspace.path.name, e)

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
        return Statements(self._workspace(run_id).temporary / "statements")

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
        return self._archive.exists() or self._archive.make(self._train)

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
        self._check_storage(job)
        workspace = self._workspace(job.run_id)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        workspace.create(stamp, python_executable())
        try:
            process = self._launch(job, workspace)
            content = None if process is None else process.wait()
        finally:
            outcome = self._outcome(workspace, read_exit_file(workspace.exit_file), None)
            self._finish(workspace)
        if process is not None and content is None:
            return Outcome(
                False, "The supervisor of this run was killed.", outcome.bytes_read, outcome.bytes_written
            )
        return outcome

    def _check_storage(self, job: Job) -> None:
        """:raises CannotStart: a bucket that the run speaks of, or its main file, is not there"""
        run = job.run
        texts = [run["fileUri"], run["archiveUri"], run["logsBucketUri"], run["warehouseBucketUri"]]
        texts += [*job.arguments, *(run["configuration"] or {}).values()]
        needed = dependencies(run, job.internal)
        for uris in needed.values():
            texts += uris
        for bucket in mentioned(text for text in texts if text):
            if not self._buckets.exists(bucket):
                raise CannotStart(
                    f"The bucket {bucket.bucket} in the namespace {bucket.namespace} does not exist. "
                    f"Create it with: dataflow-local bucket {bucket.authority}"
                )
        # A session has no program of its own.
        path = None if _is_session(run) else self._buckets.local_path(run["fileUri"])
        if not _is_session(run) and (path is None or not path.is_file()):
            raise CannotStart(f"The main application file {run['fileUri']} does not exist.")
        for uris in needed.values():
            for uri in uris:
                self._file_of(uri)

    def _file_of(self, uri: str) -> Path | None:
        """The file of one of the lists; ``None`` if Spark has to find it: many by a pattern, or elsewhere.

        :raises CannotStart: it does not exist
        """
        plain = uri.partition("#")[0]
        if not plain.startswith("oci://") or _PATTERN.search(plain):
            return None
        path = self._buckets.local_path(plain)
        if path is None:
            raise CannotStart(f"The file {plain} does not exist.")
        return path if path.is_file() else None

    def _launch(self, job: Job, workspace: Workspace) -> SupervisedProcess | None:
        """:return: ``None`` if the run was cancelled meanwhile"""
        run = job.run
        python_path, jars = self._archives(run["archiveUri"], workspace)
        self._place(job, workspace)
        if run["logsBucketUri"]:
            try:
                workspace.set_logs_target(self._buckets.folder(run["logsBucketUri"]) / run["id"])
            except ValueError as e:
                raise CannotStart(f"logsBucketUri: {e}.") from None
        configuration = run["configuration"] or {}
        heap = heap_mib(
            configuration.get("spark.driver.memory"),
            default_mib=int(memory_gib(run["driverShape"], run["driverShapeConfig"]) * 1024),
            limit_mib=self._machine.memory_mib * 6 // 10 // self._limit,
        )
        executor_cpus = (
            2 * ocpus(run["executorShape"], run["executorShapeConfig"]) * (run["numExecutors"] or 1)
        )
        cores = max(1, min(self._machine.cpus, int(executor_cpus)))
        properties = run_properties(
            run,
            job.internal,
            buckets=self._buckets,
            temporary=workspace.temporary,
            events=workspace.events,
            cores=cores,
            heap=heap,
            extra_jars=jars,
        )
        workspace.properties.write_text(format_properties(properties))
        command = java_command(
            self._spark,
            self._java,
            properties_file=workspace.properties,
            log_configuration=workspace.log_configuration,
            temporary=workspace.temporary,
            heap=heap,
            archive_options=self._archive.options(),
            user_options=configuration.get("spark.driver.extraJavaOptions", ""),
            user_class_path=configuration.get("spark.driver.extraClassPath", ""),
        )
        with open(workspace.driver_log(), "a") as f:
            f.write(
                f"Local Data Flow: Spark {run['sparkVersion']} was asked for; this is {self.describe()}.\n"
                f"Local Data Flow: asked for were {describe(run)}; this is one process with "
                f"{cores} cores and {heap} MiB of heap.\n"
            )
        # With Python, the application's stderr is the Python driver's, and Java's is only diagnostics.
        python = run["language"] == "PYTHON" or _is_session(run)
        stderr = workspace.driver_log() if python else workspace.logs.path / APPLICATION_STDERR
        main = submit_arguments(job, self._buckets) if not _is_session(run) else self._session_arguments(run)
        return self._spawn(job.run_id, [*command, *main], workspace, stderr, python_path)

    def _session_arguments(self, run: JSON) -> list[str]:
        return [str(SCRIPT), str(self._statements(run["id"]).folder), run["language"]]

    def _archives(self, uris: str | None, workspace: Workspace) -> tuple[list[str], list[str]]:
        python_path: list[str] = []
        jars: list[str] = []
        for uri in (uris or "").split(","):
            if not uri.strip():
                continue
            path = self._buckets.local_path(uri.strip())
            if path is None or not path.is_file():
                raise CannotStart(f"The archive {uri.strip()} does not exist.")
            try:
                more_python, more_jars = workspace.unpack_archive(path)
            except ValueError as e:
                raise CannotStart(f"The archive {uri.strip()} {e}.") from None
            python_path += more_python
            jars += more_jars
        return python_path, jars

    def _place(self, job: Job, workspace: Workspace) -> None:
        """What a cluster puts into the working directory. Spark's own copies are where SparkFiles says."""
        needed = dependencies(job.run, job.internal)
        for name in ("files", "archives"):
            for uri in needed[name]:
                path = self._file_of(uri)
                if path is None:
                    continue
                alias = uri.partition("#")[2] or path.name
                if name == "files":
                    workspace.place_file(path, alias)
                    continue
                try:
                    workspace.place_archive(path, alias)
                except ValueError as e:
                    raise CannotStart(f"The archive {uri} {e}.") from None

    def _spawn(
        self, run_id: str, command: list[str], workspace: Workspace, stderr: Path, python_path: Sequence[str]
    ) -> SupervisedProcess | None:
        variables = environment(self._spark, self._java, os.environ) | {
            "PYSPARK_DRIVER_PYTHON": str(workspace.driver_python),
            "PYSPARK_PYTHON": str(workspace.worker_python),
            "PYTHONPATH": os.pathsep.join(python_path),
            "TMPDIR": str(workspace.temporary),
            "SPARK_CONF_DIR": str(workspace.path / "no-conf"),
        }
        with self._lock:
            running = self._running.get(run_id)
            # The training stands back: run_id is none of the runs that there are.
            if self._closed or (self._running if running is None else running.cancelled):
                return None
            process = SupervisedProcess(
                command,
                home=self._home,
                run_id=run_id,
                environment=variables,
                folder=workspace.work,
                exit_file=workspace.exit_file,
                stdout=workspace.logs.path / APPLICATION_STDOUT,
                stderr=stderr,
            )
            if running is not None:
                running.process = process
            else:
                self._training = process
            return process

    @staticmethod
    def _outcome(workspace: Workspace, content: dict[str, object] | None, ended: float | None) -> Outcome:
        read, written = bytes_moved(workspace.events)
        if content is None or content.get("reason") != REASON_EXIT:
            return Outcome(False, None, read, written, ended)
        code = content.get("rc")
        if code == 0:
            return Outcome(True, None, read, written, ended)
        details = failure_details(
            code if isinstance(code, int) else None,
            workspace.logs.tail(APPLICATION_STDERR),
            workspace.logs.tail(workspace.driver_log().name),
        )
        return Outcome(False, details, read, written, ended)

    def _train(self, options: list[str]) -> bool:
        """A run for the class-data archive; niced, as somebody may be working on this machine."""
        workspace = Workspace(self._home / _TRAINING)
        shutil.rmtree(workspace.path, ignore_errors=True)
        workspace.create("", python_executable())
        bucket = Buckets(workspace.path / "buckets")
        bucket.create(DEFAULT_NAMESPACE, _TRAINING)
        run: JSON = {
            "id": _TRAINING,
            "displayName": _TRAINING,
            "configuration": {},
            "warehouseBucketUri": None,
        }
        properties = run_properties(
            run,
            {},
            buckets=bucket,
            temporary=workspace.temporary,
            events=workspace.events,
            cores=2,
            heap=1024,
        )
        workspace.properties.write_text(format_properties(properties))
        command = java_command(
            self._spark,
            self._java,
            properties_file=workspace.properties,
            log_configuration=workspace.log_configuration,
            temporary=workspace.temporary,
            heap=1024,
            archive_options=options,
        )
        script = str(Path(__file__).with_name("training.py"))
        main = [script, f"oci://{_TRAINING}@{DEFAULT_NAMESPACE}"]
        process = self._spawn(
            _TRAINING, ["nice", "-n", "19", *command, *main], workspace, workspace.driver_log(), ()
        )
        if process is None:
            return False
        content = process.wait()
        with self._lock:
            self._training = None
        succeeded = content is not None and content.get("rc") == 0 and content.get("reason") == REASON_EXIT
        if succeeded or self._closed:
            shutil.rmtree(workspace.path, ignore_errors=True)
        return succeeded

    def _cancel_training(self) -> None:
        with self._lock:
            if self._training is not None:
                self._training.kill()
