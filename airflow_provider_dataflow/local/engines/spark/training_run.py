"""Training run of the class-data archive: runs ``training_app.py`` to record the classes that Spark loads."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from airflow_provider_dataflow.local.engines.spark.installation import python_executable
from airflow_provider_dataflow.local.engines.spark.properties import run_properties
from airflow_provider_dataflow.local.engines.spark.runtime import Runtime
from airflow_provider_dataflow.local.engines.spark.supervised_process import SupervisedProcess
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.engines.supervisor import REASON_EXIT
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.buckets import DEFAULT_NAMESPACE, Buckets

_NAME = "class-data"
_HEAP_MIB = 1024


class TrainingRun:
    """Runs the training application while no run is in progress.

    :param may_start: returns whether no run is in progress.
    """

    def __init__(self, runtime: Runtime, may_start: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._may_start = may_start
        self._lock = threading.Lock()
        self._process: SupervisedProcess | None = None

    def train(self, options: list[str]) -> bool:
        """Run the training application. Return ``False`` if it failed or was cancelled.

        :param options: Java options that create the archive.
        """
        workspace = Workspace(self._runtime.home / _NAME)
        shutil.rmtree(workspace.path, ignore_errors=True)
        command = self._command(workspace, options)
        with self._lock:
            if not self._may_start():
                return False
            process = self._process = self._runtime.start(
                _NAME, command, workspace, stderr=workspace.driver_log()
            )
        content = process.wait()
        with self._lock:
            self._process = None
        succeeded = content is not None and content.get("rc") == 0 and content.get("reason") == REASON_EXIT
        if succeeded or not self._may_start():
            shutil.rmtree(workspace.path, ignore_errors=True)
        return succeeded

    def cancel(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _command(self, workspace: Workspace, options: list[str]) -> list[str]:
        workspace.create("", python_executable())
        buckets = Buckets(workspace.path / "buckets")
        buckets.create(DEFAULT_NAMESPACE, _NAME)
        run: JSON = {"id": _NAME, "displayName": _NAME, "configuration": {}, "warehouseBucketUri": None}
        properties = run_properties(
            run,
            {},
            buckets=buckets,
            temporary=workspace.temporary,
            events=workspace.events,
            cores=2,
            heap=_HEAP_MIB,
        )
        command = self._runtime.command(workspace, properties, heap=_HEAP_MIB, archive_options=options)
        script = str(Path(__file__).with_name("training_app.py"))
        # With low priority, because the user may be working on this machine.
        return ["nice", "-n", "19", *command, script, f"oci://{_NAME}@{DEFAULT_NAMESPACE}"]
