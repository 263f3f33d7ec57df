"""What an ended run means for its task: the log that a person sees, and the error, if there is one.

The one way out for every path: waited in the worker or in the triggerer, operator or sensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import partial
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.arguments.masking import mask_secrets_of_run, without_secrets
from airflow_provider_dataflow.exceptions import (
    LOG_TAIL_LINES,
    RunCanceled,
    RunError,
    RunFailed,
    RunStopped,
)
from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run

#: Lines of the driver's stderr in which a well-known cause is looked for: a stack trace of Java's is long.
HINT_LINES = 300

ERRORS: dict[str, type[RunError]] = {
    LifecycleState.FAILED: RunFailed,
    LifecycleState.CANCELED: RunCanceled,
    LifecycleState.STOPPED: RunStopped,
}


def log_end_of_wait(log: Any, event: RunEvent) -> None:
    """Says in the worker's log what the triggerer has seen."""
    if event.outcome is Outcome.REACHED:
        log.info("Run %s is %s", event.run_id, event.state)
    else:
        log.warning("Run %s: the wait ended by %s: %s", event.run_id, event.outcome, event.message or "")


def finish(
    run: Run,
    hook: DataFlowHook,
    log: Logger | Any,
    *,
    fetch_logs: str,
    as_wished: bool,
    log_cursor: Mapping[str, int] | None = None,
    secrets: Set[str] = frozenset(),
) -> None:
    """Copy the driver's output into the task's log as wanted, and raise if the run did not end as wished.

    :param log_cursor: how far it has been copied already.
    :param secrets: hidden in the output, beside those that the service has of the run.
    :raises RunError: it did not.
    """
    if run.is_terminal and (fetch_logs == "always" or (fetch_logs == "on_failure" and not as_wished)):
        copy_driver_logs(run, hook, log, log_cursor, secrets)
    if not as_wished:
        raise error_of(run, hook, log, secrets)


def error_of(run: Run, hook: DataFlowHook, log: Logger | Any, secrets: Set[str] = frozenset()) -> RunError:
    """The error that a run ended with. What cannot be read of it is left out."""
    # Its many patterns are not for every DAG that is parsed.
    from airflow_provider_dataflow.error_hints import hint_for

    secrets = secrets | mask_secrets_of_run(run)
    stderr = [without_secrets(line, secrets) for line in _stderr_tail(run, hook, log)]
    return ERRORS.get(run.state, RunFailed)(
        run_id=run.id,
        state=run.state,
        lifecycle_details=run.lifecycle_details,
        hint=hint_for(run.lifecycle_details, "\n".join(stderr)),
        opc_request_id=run.opc_request_id,
        url=hook.run_page_url(run.id),
        log_tail="\n".join(stderr[-LOG_TAIL_LINES:]) or None,
    )


def copy_driver_logs(
    run: Run,
    hook: DataFlowHook,
    log: Logger | Any,
    cursor: Mapping[str, int] | None = None,
    secrets: Set[str] = frozenset(),
) -> None:
    """The driver's output, or what is left of it. A log that cannot be read is a warning, never an error.

    :param cursor: how far it has been copied while the run went on (``LogFollower.cursor``).
    """
    from airflow_provider_dataflow.client.logs.follower import LogFollower

    follower = LogFollower(hook, run.id, log, cursor=cursor)
    follower.hide = partial(without_secrets, secrets=secrets | mask_secrets_of_run(run))
    follower.copy_rest()


def _stderr_tail(run: Run, hook: DataFlowHook, log: Logger | Any) -> list[str]:
    from airflow_provider_dataflow.client.logs.read import STDERR_SOURCES, named, tail

    try:
        logs = hook.list_run_logs(run.id)
        for source in STDERR_SOURCES:
            for entry in reversed(named(logs, source, "STDERR")):
                if output := tail(hook.get_run_log(run.id, entry.name), HINT_LINES):
                    return output
    except Exception as error:  # noqa: BLE001 - a log never decides over a task
        log.warning("The stderr of run %s could not be read: %s", run.id, error)
    return []
