"""Cause of a failed run, from its details and the driver's stderr."""

from __future__ import annotations

from logging import Logger
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_dataflow.models.run import Run, RunLog

#: Lines at the end of the driver's stderr that are searched for a known cause. Java's stack traces are long.
SEARCHED_LINES = 300


class ReadsLogs(Protocol):
    """Hook or client that reads the logs of runs."""

    def list_run_logs(self, run_id: str) -> list[RunLog]: ...

    def get_run_log(self, run_id: str, name: str) -> Iterable[bytes]: ...


def stderr_tail(run: Run, client: ReadsLogs, log: Logger | Any) -> list[str]:
    """Return the last lines of the driver's stderr; none if it cannot be read, which is a warning."""
    from airflow_provider_dataflow.client.logs.read import STDERR_SOURCES, logs_of_type, tail

    try:
        logs = client.list_run_logs(run.id)
        for source in STDERR_SOURCES:
            for entry in reversed(logs_of_type(logs, source, "STDERR")):
                if output := tail(client.get_run_log(run.id, entry.name), SEARCHED_LINES):
                    return output
    except Exception as error:  # noqa: BLE001 - an unreadable log must not replace the run's own error
        log.warning("Run %s: cannot read the driver's stderr: %s", run.id, error)
    return []


def cause_of(run: Run, client: ReadsLogs, log: Logger | Any) -> str | None:
    """Return the key of the cause why a run has ended without success; None if it is not a well-known one."""
    from airflow_provider_dataflow.error_hints import find_cause

    # The details take precedence, so the log is not read if they tell.
    found = find_cause(run.lifecycle_details) or find_cause(None, "\n".join(stderr_tail(run, client, log)))
    return found.cause if found else None
