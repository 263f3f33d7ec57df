"""Command of a run's driver: heap and cores, Spark properties, arguments."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_dataflow.local.engines.base import EngineJob
from airflow_provider_dataflow.local.engines.machine import Machine
from airflow_provider_dataflow.local.engines.shapes import describe, memory_gib, ocpus
from airflow_provider_dataflow.local.engines.spark.java_command import heap_mib, submit_arguments
from airflow_provider_dataflow.local.engines.spark.preparation import Dependencies, is_session
from airflow_provider_dataflow.local.engines.spark.properties import run_properties
from airflow_provider_dataflow.local.engines.spark.runtime import Runtime
from airflow_provider_dataflow.local.engines.spark.session_channel import session_arguments
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.buckets import Buckets
from airflow_provider_dataflow.local.state.run_logs import APPLICATION_STDERR


class DriverCommand:
    """Builds the commands of drivers.

    :param limit: maximum number of concurrent runs, which share the machine's memory.
    """

    def __init__(self, runtime: Runtime, buckets: Buckets, limit: int) -> None:
        self._runtime = runtime
        self._buckets = buckets
        self._limit = limit
        self._machine = Machine.detect()

    def build(self, job: EngineJob, workspace: Workspace, found: Dependencies) -> list[str]:
        """Return the command, and write its properties file and a note about the resources into the log."""
        run = job.run
        configuration = run["configuration"] or {}
        heap, cores = self.heap(run), self.cores(run)
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
                f"Local Data Flow: requested Spark {run['sparkVersion']}; "
                f"the run gets {self._runtime.describe()}.\n"
                f"Local Data Flow: requested {describe(run)}; the run gets one process with "
                f"{cores} cores and {heap} MiB of heap.\n"
            )
        if is_session(run):
            return [*command, *session_arguments(workspace.statements, run["language"])]
        return [*command, *submit_arguments(job, self._buckets)]

    @staticmethod
    def stderr(run: JSON, workspace: Workspace) -> Path:
        """Return the file for Java's stderr.

        With Python, the application's stderr is that of the Python driver, and Java's goes to the driver log.
        """
        python = run["language"] == "PYTHON" or is_session(run)
        return workspace.driver_log() if python else workspace.logs.path / APPLICATION_STDERR

    def heap(self, run: JSON) -> int:
        """Return the size of the heap in MiB, within a run's share of the machine."""
        return heap_mib(
            (run["configuration"] or {}).get("spark.driver.memory"),
            default_mib=int(memory_gib(run["driverShape"], run["driverShapeConfig"]) * 1024),
            limit_mib=self._machine.memory_mib * 6 // 10 // self._limit,
        )

    def cores(self, run: JSON) -> int:
        cpus = 2 * ocpus(run["executorShape"], run["executorShapeConfig"]) * (run["numExecutors"] or 1)
        return max(1, min(self._machine.cpus, int(cpus)))
