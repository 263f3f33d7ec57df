"""Cause of a failed run, from its details and the driver's stderr, and the settings of the run after it."""

from __future__ import annotations

from logging import Logger
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.retries.on_cause import has_step_left, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_dataflow.models.run import Run, RunLog
    from airflow_provider_dataflow.models.run_request import RunRequest
    from airflow_provider_dataflow.retries.on_cause import Steps

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
    found = find_cause(run.lifecycle_details)
    if found is None and has_cause_in_log(run):
        found = find_cause(None, "\n".join(stderr_tail(run, client, log)))
    return found.cause if found else None


def has_cause_in_log(run: Run) -> bool:
    """Return whether the driver's log can tell the cause. It cannot if somebody has ended the run."""
    return run.state == LifecycleState.FAILED


def after_failure(
    steps: Steps | None,
    causes: Sequence[str],
    failed: Run,
    request: RunRequest,
    client: ReadsLogs,
    log: Logger | Any,
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the causes and the settings of the run that replaces a failed one.

    :param steps: the argument ``on_cause``.
    :param causes: of the failures before, for which the settings of the failed run were changed.
    :param request: of the author.
    """
    if not steps:
        return (), {}
    causes = tuple(causes)
    cause = cause_of(failed, client, log)
    if cause is None or not has_step_left(steps, causes, cause):
        return causes, settings_for(steps, causes, request, failed)
    settings = settings_for(steps, (*causes, cause), request, failed)
    log.info("Run %s failed (%s): the next run gets %s (on_cause)", failed.id, cause, settings)
    return (*causes, cause), settings
