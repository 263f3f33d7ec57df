"""How a run ended: from what it and its supervisor left in its folder."""

from __future__ import annotations

from airflow_provider_dataflow.local.engines.base import Outcome
from airflow_provider_dataflow.local.engines.spark.failure_details import failure_details, out_of_heap_details
from airflow_provider_dataflow.local.engines.spark.metrics import bytes_moved
from airflow_provider_dataflow.local.engines.spark.process import read_exit_file
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.engines.supervisor import REASON_EXIT, REASON_SERVER_DIED
from airflow_provider_dataflow.local.state.run_logs import APPLICATION_STDERR


def outcome_of(workspace: Workspace) -> Outcome:
    """Without details, unless the run ended by itself and failed."""
    read, written = bytes_moved(workspace.events)
    content = read_exit_file(workspace.exit_file)
    # It may have ended, or have been cancelled, just before it was to be ended for its heap.
    was_killed = content is not None and content.get("reason") == REASON_SERVER_DIED
    if was_killed and workspace.heap_exhausted.exists():
        return Outcome(False, out_of_heap_details(workspace.heap()), read, written)
    if content is None or content.get("reason") != REASON_EXIT:
        return Outcome(False, None, read, written)
    code = content.get("rc")
    if code == 0:
        return Outcome(True, None, read, written)
    details = failure_details(
        code if isinstance(code, int) else None,
        workspace.logs.tail(APPLICATION_STDERR),
        workspace.logs.tail(workspace.driver_log().name),
        workspace.logs.tail(workspace.executor_log().name),
        heap=workspace.heap(),
    )
    return Outcome(False, details, read, written)
