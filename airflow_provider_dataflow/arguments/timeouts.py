"""How long things may take, as authors give it and as Airflow is told."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_dataflow.polling import TIMEOUT_MARGIN_SECONDS

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context


def started_at(context: Context) -> float:
    """When the task has started, in seconds since the epoch: now, for a task instance that does not say."""
    start_date = getattr(context["ti"], "start_date", None)
    return start_date.timestamp() if start_date else time.time()


def tightest(*limits: float | timedelta | None) -> float | None:
    """The shortest of the durations that are given, in seconds."""
    given = (limit.total_seconds() if isinstance(limit, timedelta) else limit for limit in limits)
    return min((limit for limit in given if limit is not None), default=None)


def backstop(deadline: float | None) -> timedelta | None:
    """Airflow's own timeout of a deferral: for a trigger that does not even get to its deadline.

    :param deadline: seconds since the epoch.
    """
    if deadline is None:
        return None
    return timedelta(seconds=max(deadline - time.time(), 0) + TIMEOUT_MARGIN_SECONDS)
