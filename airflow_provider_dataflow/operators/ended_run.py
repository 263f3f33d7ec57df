"""End of a run in the task's log: the driver's output, and the error if the run missed its target states.

Used by all tasks that wait for runs, whether they waited in the worker or in the triggerer.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import partial
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.arguments.masking import (
    details_without_secrets,
    mask_secrets_of_run,
    without_secrets,
)
from airflow_provider_dataflow.exceptions import (
    LOG_TAIL_LINES,
    RunCanceled,
    RunError,
    RunFailed,
    RunStopped,
)
from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.retries.failed_run import has_cause_in_log, stderr_tail
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run

ERRORS: dict[str, type[RunError]] = {
    LifecycleState.FAILED: RunFailed,
    LifecycleState.CANCELED: RunCanceled,
    LifecycleState.STOPPED: RunStopped,
}


def log_event(log: Logger | Any, event: RunEvent) -> None:
    """Log a trigger's event in the worker."""
    if event.outcome is Outcome.REACHED:
        log.info("Run %s is %s", event.run_id, event.state)
    else:
        log.warning(
            "Run %s: the trigger ended its wait (%s): %s", event.run_id, event.outcome, event.message or ""
        )


def finish_wait(
    run: Run,
    hook: DataFlowHook,
    log: Logger | Any,
    *,
    fetch_logs: str,
    reached_target: bool,
    log_cursor: Mapping[str, int] | None = None,
    secrets: Set[str] = frozenset(),
    note: str | None = None,
) -> None:
    """Copy the driver's output as ``fetch_logs`` says. Raise if the run missed its target states.

    :param reached_target: whether the run's state is one of the target states.
    :param log_cursor: how far each log has been copied already.
    :param secrets: hidden in the output, in addition to those in the run's own arguments.
    :param note: added to the error.
    :raises RunError: the run missed its target states.
    """
    if run.is_terminal and (fetch_logs == "always" or (fetch_logs == "on_failure" and not reached_target)):
        copy_driver_logs(run, hook, log, log_cursor, secrets)
    if not reached_target:
        raise error_of_run(run, hook, log, secrets, note)


def error_of_run(
    run: Run,
    hook: DataFlowHook,
    log: Logger | Any,
    secrets: Set[str] = frozenset(),
    note: str | None = None,
) -> RunError:
    """Return the error of a run that ended without success. Details that cannot be read are left out."""
    # Imported late: compiling its many patterns would slow down the parsing of every DAG.
    from airflow_provider_dataflow.error_hints import find_cause

    secrets = secrets | mask_secrets_of_run(run)
    stderr = [without_secrets(line, secrets) for line in stderr_tail(run, hook, log)]
    details = details_without_secrets(run, secrets)
    found = find_cause(details, "\n".join(stderr))
    decisive = found if has_cause_in_log(run) else find_cause(details)
    return ERRORS.get(run.state, RunFailed)(
        run_id=run.id,
        state=run.state,
        lifecycle_details=details,
        hint=found.hint if found else None,
        cause=decisive.cause if decisive else None,
        opc_request_id=run.opc_request_id,
        url=hook.run_page_url(run.id),
        log_tail="\n".join(stderr[-LOG_TAIL_LINES:]) or None,
        note=note,
    )


def copy_driver_logs(
    run: Run,
    hook: DataFlowHook,
    log: Logger | Any,
    cursor: Mapping[str, int] | None = None,
    secrets: Set[str] = frozenset(),
) -> None:
    """Copy the rest of the driver's output. A log that cannot be read is a warning, never an error.

    :param cursor: how far each log was copied during the run (``LogFollower.cursor``).
    """
    from airflow_provider_dataflow.client.logs.follower import LogFollower

    follower = LogFollower(hook, run.id, log, cursor=cursor)
    follower.hide = partial(without_secrets, secrets=secrets | mask_secrets_of_run(run))
    follower.copy_rest()
