"""Timeouts of tasks: when they start to count, and which of several applies."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_dataflow.polling import TIMEOUT_MARGIN_SECONDS

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context


def started_at(context: Context) -> float:
    """Return the start of the task in seconds since the epoch; now, if Airflow does not tell it."""
    start_date = getattr(context["ti"], "start_date", None)
    return start_date.timestamp() if start_date else time.time()


def tightest(*limits: float | timedelta | None) -> float | None:
    """Return the shortest of the given durations in seconds; ``None`` if all are ``None``."""
    given = (limit.total_seconds() if isinstance(limit, timedelta) else limit for limit in limits)
    return min((limit for limit in given if limit is not None), default=None)


def backstop(deadline: float | None) -> timedelta | None:
    """Return the timeout of a deferral, which ends a task whose trigger misses its own deadline.

    :param deadline: the trigger's, in seconds since the epoch.
    """
    if deadline is None:
        return None
    return timedelta(seconds=max(deadline - time.time(), 0) + TIMEOUT_MARGIN_SECONDS)
