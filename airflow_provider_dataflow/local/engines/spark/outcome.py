"""Outcome of a run, from the files that it and its supervisor left in its folder."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_dataflow.local.engines.base import RunOutcome
from airflow_provider_dataflow.local.engines.spark.event_logs import bytes_moved
from airflow_provider_dataflow.local.engines.spark.failure_details import failure_details, out_of_heap_details
from airflow_provider_dataflow.local.engines.spark.supervised_process import read_exit_file
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.engines.supervisor import REASON_EXIT, REASON_SERVER_DIED
from airflow_provider_dataflow.local.state.run_logs import APPLICATION_STDERR


def has_failed(report: Mapping[str, object] | None) -> bool:
    """Return whether a supervisor's report says that the run ended by itself with a non-zero exit code."""
    return report is not None and report.get("reason") == REASON_EXIT and report.get("rc") != 0


def outcome_of(workspace: Workspace) -> RunOutcome:
    """Return the outcome of a run. It has details only if the run failed by itself or its heap was full."""
    read, written = bytes_moved(workspace.events)
    content = read_exit_file(workspace.exit_file)
    # If the run had ended, or was cancelled, before it was killed for its heap, the file has another reason.
    was_killed = content is not None and content.get("reason") == REASON_SERVER_DIED
    if was_killed and workspace.heap_exhausted.exists():
        return RunOutcome(False, out_of_heap_details(workspace.heap()), read, written)
    if content is None or content.get("reason") != REASON_EXIT:
        return RunOutcome(False, None, read, written)
    code = content.get("rc")
    if code == 0:
        return RunOutcome(True, None, read, written)
    details = failure_details(
        code if isinstance(code, int) else None,
        workspace.logs.tail(APPLICATION_STDERR),
        workspace.logs.tail(workspace.driver_log().name),
        workspace.logs.tail(workspace.executor_log().name),
        heap=workspace.heap(),
        packages=workspace.packages(),
    )
    return RunOutcome(False, details, read, written)
