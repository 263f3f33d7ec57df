"""Errors of tasks whose trigger failed or timed out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dataflow.compat import TaskDeferralTimeout
from airflow_provider_dataflow.exceptions import DataFlowError, sentences


def trigger_error(
    error: Exception, next_kwargs: Mapping[str, Any] | None, awaited_resource: str
) -> DataFlowError:
    """Return the error of a task whose trigger failed or sent no event in time.

    :param error: as Airflow raised it.
    :param next_kwargs: as Airflow passed them to ``resume_execution``.
    :param awaited_resource: type and id of the resource that the trigger waited for.
    """
    if isinstance(error, TaskDeferralTimeout):
        return DataFlowError(
            f"The trigger that waited for {awaited_resource} sent no event in time: is a triggerer running? "
            "Clear the task to wait again."
        )
    cause = cause_of_failure(error, next_kwargs)
    return DataFlowError(
        sentences(
            f"The trigger that waited for {awaited_resource} failed: {cause}", "Clear the task to wait again."
        )
    )


def cause_of_failure(error: Exception, next_kwargs: Mapping[str, Any] | None) -> str:
    """Return the error that a trigger failed with. Airflow's own error says only that it failed.

    :param next_kwargs: as Airflow passed them to ``resume_execution``; they hold the trigger's traceback.
    """
    lines = (next_kwargs or {}).get("traceback") or []
    text = "".join(lines) if isinstance(lines, list) else str(lines)
    # The last line without indentation names the error. Its message may continue on further lines.
    headlines = [line for line in text.splitlines() if line[:1].strip()]
    cause = headlines[-1] if headlines else str(error)
    return sentences(cause.removeprefix("airflow_provider_dataflow.exceptions."))
