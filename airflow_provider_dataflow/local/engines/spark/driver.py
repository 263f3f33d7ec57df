"""The driver of a run: how large it is, with which properties it starts, and by which command."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_dataflow.local.engines.base import Job
from airflow_provider_dataflow.local.engines.machine import Machine
from airflow_provider_dataflow.local.engines.shapes import describe, memory_gib, ocpus
from airflow_provider_dataflow.local.engines.spark.command import heap_mib, submit_arguments
from airflow_provider_dataflow.local.engines.spark.preparation import Dependencies, is_session
from airflow_provider_dataflow.local.engines.spark.properties import run_properties
from airflow_provider_dataflow.local.engines.spark.runtime import Runtime
from airflow_provider_dataflow.local.engines.spark.statements import session_arguments
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.buckets import Buckets
from airflow_provider_dataflow.local.state.run_logs import APPLICATION_STDERR


class Drivers:
    """:param limit: how many runs share the machine"""

    def __init__(self, runtime: Runtime, buckets: Buckets, limit: int) -> None:
        self._runtime = runtime
        self._buckets = buckets
        self._limit = limit
        self._machine = Machine.this()

    def command(self, job: Job, workspace: Workspace, found: Dependencies) -> list[str]:
        run = job.run
        configuration = run["configuration"] or {}
        heap, cores = self._heap(run), self._cores(run)
        properties = run_properties(
            run,
            job.internal,
            buckets=self._buckets,
            temporary=workspace.temporary,
            events=workspace.events,
            cores=cores,
            heap=heap,
            extra_jars=found.jars,
        )
        command = self._runtime.command(
            workspace,
            properties,
            heap=heap,
            user_options=configuration.get("spark.driver.extraJavaOptions", ""),
            user_class_path=configuration.get("spark.driver.extraClassPath", ""),
        )
        with open(workspace.driver_log(), "a") as f:
            f.write(
                f"Local Data Flow: Spark {run['sparkVersion']} was asked for; "
                f"this is {self._runtime.describe()}.\n"
                f"Local Data Flow: asked for were {describe(run)}; this is one process with "
                f"{cores} cores and {heap} MiB of heap.\n"
            )
        if is_session(run):
            return [*command, *session_arguments(workspace.statements, run["language"])]
        return [*command, *submit_arguments(job, self._buckets)]

    @staticmethod
    def stderr(run: JSON, workspace: Workspace) -> Path:
        """With Python, the application's stderr is the Python driver's, and Java's is only diagnostics."""
        python = run["language"] == "PYTHON" or is_session(run)
        return workspace.driver_log() if python else workspace.logs.path / APPLICATION_STDERR

    def _heap(self, run: JSON) -> int:
        return heap_mib(
            (run["configuration"] or {}).get("spark.driver.memory"),
            default_mib=int(memory_gib(run["driverShape"], run["driverShapeConfig"]) * 1024),
            limit_mib=self._machine.memory_mib * 6 // 10 // self._limit,
        )

    def _cores(self, run: JSON) -> int:
        cpus = 2 * ocpus(run["executorShape"], run["executorShapeConfig"]) * (run["numExecutors"] or 1)
        return max(1, min(self._machine.cpus, int(cpus)))
