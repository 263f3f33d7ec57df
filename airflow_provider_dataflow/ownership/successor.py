"""Successor of a STREAMING run, which the service starts after it has stopped the run for maintenance.

Pure: no clock, no network, no Airflow. All that Oracle does not document about it is decided here:

- how soon the successor appears: ``successor_timeout``, by default ``DEFAULT_SUCCESSOR_TIMEOUT_SECONDS``;
- the words of ``lifecycleDetails``: :data:`MAINTENANCE_WORDS` and :data:`ON_PURPOSE_WORDS`;
- whether tags are copied to the successor: it is found by its application and time, never by its tags.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_dataflow.models.run import LifecycleState, Run
from airflow_provider_dataflow.ownership.tags import TaskTags

STREAMING = "STREAMING"

#: States of a successor that is about to run.
LIVE_STATES = (LifecycleState.ACCEPTED, LifecycleState.IN_PROGRESS)

#: Parts of words in ``lifecycleDetails`` of a run that was stopped for maintenance.
MAINTENANCE_WORDS = ("maintenance", "patching", "upgrade")
#: Parts of words in ``lifecycleDetails`` of a run that was stopped by somebody, or by a limit of its own.
ON_PURPOSE_WORDS = ("user", "cancel", "request", "idle", "duration", "delete")


def may_have_successor(run: Run) -> bool:
    """Return whether the service may have stopped a run for maintenance.

    True also if the details say nothing that is known: to wait in vain is better than to let two runs write
    into one checkpoint.
    """
    if run.type != STREAMING or run.state != LifecycleState.STOPPED:
        return False
    return _names_maintenance(run) or not any(word in _details(run) for word in ON_PURPOSE_WORDS)


def stop_reason(run: Run) -> str:
    """Return why a run that may have a successor was stopped, for logs.

    The details themselves may quote a secret in the run's arguments, which a run from a list does not have.
    """
    return "for maintenance" if _names_maintenance(run) else "for an unknown reason"


def seconds_left(stopped: Run, successor_timeout: float, now: float) -> float:
    """Return for how long a successor may still appear. Zero or less: it appears no more.

    :param successor_timeout: seconds from the end of the run.
    :param now: seconds since the epoch.
    """
    ended = stopped.time_updated.timestamp() if stopped.time_updated else now
    return successor_timeout - (now - min(ended, now))


def successors_among(stopped: Run, listed: Iterable[Run]) -> list[Run]:
    """Return the runs that followed a run, oldest first.

    A run that another submit of a task created is none of them, and neither is a run of another type.

    :param listed: runs of the same application, newest first.
    """
    found: list[Run] = []
    tags = TaskTags.of(stopped.freeform_tags)
    for run in listed:
        if run.time_created is None or stopped.time_created is None or run.id == stopped.id:
            continue
        if run.time_created < stopped.time_created:
            break
        other = TaskTags.of(run.freeform_tags)
        is_of_other_submit = other is not None and (tags is None or other.token != tags.token)
        if run.type == STREAMING and not is_of_other_submit:
            found.append(run)
    return found[::-1]


def _names_maintenance(run: Run) -> bool:
    return any(word in _details(run) for word in MAINTENANCE_WORDS)


def _details(run: Run) -> str:
    return (run.lifecycle_details or "").lower()
