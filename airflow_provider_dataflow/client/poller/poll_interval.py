"""Seconds until the next poll of a run, by its state and age."""

from __future__ import annotations

from airflow_provider_dataflow.models.run import LifecycleState

#: The interval of an IN_PROGRESS run grows to this share of its age ...
GROWTH_PER_AGE = 0.05
#: ... up to this many times ``poll_interval``.
MAX_STRETCH = 8
#: The period in which runs of an application usually end is divided into at least this many polls.
POLLS_IN_USUAL_PERIOD = 60


def next_interval(
    poll_interval: float, state: str | None, age: float, usual: tuple[float, float] | None = None
) -> float:
    """Return the seconds until the next poll, between ``poll_interval`` and eight times that.

    :param poll_interval: the shortest interval, in seconds.
    :param state: as of the last poll. Only an IN_PROGRESS run is polled less often.
    :param age: seconds since the run was created.
    :param usual: shortest and longest usual duration of the application's runs, in seconds; see
        :meth:`.DurationHistory.usual`.
    """
    if state != LifecycleState.IN_PROGRESS:
        return poll_interval
    seconds = age * GROWTH_PER_AGE
    if usual:
        shortest, longest = usual
        if age < shortest:
            # The run usually does not end earlier.
            seconds = shortest - age
        else:
            # Poll often while the run may end at any time, and less often when it is overdue.
            overdue = max(0.0, age - longest)
            seconds = min(seconds, (longest - shortest) / POLLS_IN_USUAL_PERIOD + overdue * GROWTH_PER_AGE)
    return min(max(seconds, poll_interval), poll_interval * MAX_STRETCH)
