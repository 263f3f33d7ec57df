"""When a submit that found no room, or no service, is tried again. Pure."""

from __future__ import annotations

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import jittered

#: Seconds. A backfill may have to wait for a night's runs of others.
DEFAULT_SUBMIT_TIMEOUT = 6 * 3600.0

#: The service's codes for "not now": a limit of the tenancy or a quota of the compartment is used up.
NO_ROOM = ("LimitExceeded", "QuotaExceeded")

#: Seconds. The wait grows with what was waited already.
MIN_PAUSE, MAX_PAUSE = 30.0, 600.0


def seconds_until_next_submit(
    error: ServiceError, waited: float, *, submit_timeout: float, error_budget: float
) -> float | None:
    """How long to wait; ``None`` if the submit is not to be tried again.

    :param error: what the last submit was answered with.
    :param waited: seconds since the task has started.
    :param submit_timeout: seconds for which room is waited for.
    :param error_budget: seconds for which errors of the service are borne.
    """
    if error.code in NO_ROOM:
        limit = submit_timeout
    elif error.is_transient:
        limit = min(error_budget, submit_timeout)
    else:
        return None
    left = limit - waited
    if left <= 0:
        return None
    pause = jittered(min(max(waited / 2, MIN_PAUSE), MAX_PAUSE))
    return min(max(pause, error.retry_after or 0.0), max(left, 1.0))
