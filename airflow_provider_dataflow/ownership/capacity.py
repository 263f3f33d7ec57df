"""Pauses between submits that fail because of a limit of the tenancy or an outage. Pure."""

from __future__ import annotations

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import jittered

#: Error codes of a limit of the tenancy or a quota of the compartment that is used up.
CAPACITY_ERROR_CODES = ("LimitExceeded", "QuotaExceeded")


def is_capacity_error(error: ServiceError) -> bool:
    return error.code in CAPACITY_ERROR_CODES


def seconds_until_next_submit(
    error: ServiceError,
    waited: float,
    *,
    failing: float,
    submit_timeout: float,
    error_budget: float,
    pause_bounds: tuple[float, float],
) -> float | None:
    """Return the pause before the next submit in seconds; ``None`` to give up.

    :param error: of the last submit.
    :param waited: seconds since the task started.
    :param failing: seconds since the first of the service errors in a row.
    :param submit_timeout: seconds for which a capacity wait may last.
    :param error_budget: seconds for which service errors are retried.
    :param pause_bounds: shortest and longest pause in seconds; it grows with the time so far.
    """
    if is_capacity_error(error):
        failing, left = waited, submit_timeout - waited
    elif error.is_transient:
        left = min(error_budget - failing, submit_timeout - waited)
    else:
        return None
    if left <= 0:
        return None
    shortest, longest = pause_bounds
    pause = jittered(min(max(failing / 2, shortest), longest))
    return min(max(pause, error.retry_after or 0.0), max(left, 1.0))
