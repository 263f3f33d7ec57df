"""When to ask again, and when to stop believing: shared by the waits in workers and in the triggerer."""

from __future__ import annotations

import math
import random
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument, ServiceError
from airflow_provider_dataflow.models.run import LifecycleState

#: Seconds. An outage of the API shorter than this is a log line, not a failed task.
DEFAULT_ERROR_BUDGET = 30 * 60
#: Seconds. 401, 403 and 404 look final, but OCI's IAM is eventually consistent: not at first sight.
STRAY_ERROR_BUDGET = 5 * 60
DEFAULT_POLL_INTERVAL = 30.0
#: Six hours: a backfill may have to wait until other runs of the night have ended.
DEFAULT_SUBMIT_TIMEOUT_SECONDS = 6 * 3600.0
#: Airflow kills a worker 5 seconds after telling it to end, and a trigger after 30.
DEFAULT_CANCEL_TIMEOUT_SECONDS = 25.0
#: Airflow's timeout of a deferral is this much later than the trigger's deadline, and the service's
#: ``max_duration_in_minutes`` at least this much later than the task's timeout.
TIMEOUT_MARGIN_SECONDS = 300
#: Seconds. Airflow can fail a healthy task whose trigger fires while its worker is still signing off.
DEFAULT_NO_EVENT_BEFORE = 10.0
#: A run that is IN_PROGRESS is asked for again when it is older by this share of its age ...
GROWTH = 0.05
#: ... but not later than after so many poll intervals.
STRETCH = 8
#: The time in which runs of its application usually end is asked through in so many parts at least.
PARTS = 60
#: To the service, per connection and triggerer process.
MAX_CONNECTIONS = 4
#: Per connection and triggerer process; what OCI bears is not published, and 429 lowers it for a while.
MAX_REQUESTS_PER_SECOND = 20.0


def jittered(interval: float) -> float:
    """The interval, give or take a tenth, so that many waits do not ask in step."""
    return interval * random.uniform(0.9, 1.1)  # noqa: S311


#: Seconds. However late it is, a look is awaited so long.
LAST_LOOK = 5.0

#: Seconds between two lines about a run whose state does not change.
HEARTBEAT = 600.0


@dataclass
class Heartbeat:
    """Says when it is time for a line that nothing has changed.

    :param since: of a monotonic clock, in seconds.
    """

    since: float

    def is_due(self, now: float) -> bool:
        """True once every ten minutes."""
        if now - self.since < HEARTBEAT:
            return False
        self.since = now
        return True


def seconds_of(value: Any, name: str) -> float:
    """Return a duration in seconds, whatever an old trigger row or an unchecked argument holds.

    :param value: a number, its text, or a timedelta.
    :param name: of the argument, for the error.
    :raises InvalidArgument: it is no duration.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except (ValueError, OverflowError):
            seconds = math.nan
        if not math.isnan(seconds):
            return seconds
    shown = f"{type(value).__name__} {str(value)[:40]!r}"
    raise InvalidArgument(name, f"expected seconds or a timedelta, got {shown}")


@dataclass(slots=True)
class ErrorBudget:
    """How long errors are borne before a run counts as out of sight.

    :param seconds: how long in a row, 30 minutes by default; a timedelta is taken, too.
    :raises InvalidArgument: it is no duration.
    """

    seconds: float = DEFAULT_ERROR_BUDGET
    _since: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.seconds = seconds_of(self.seconds, "error_budget")

    def success(self) -> bool:
        """The service answered. True if it had failed before."""
        had_failed, self._since = self._since is not None, None
        return had_failed

    def failure(self, error: ServiceError, now: float) -> bool:
        """The service did not answer, or with an error. True if the budget is used up.

        :param now: of a monotonic clock, in seconds.
        """
        if self._since is None:
            self._since = now
        return self.left(error, now) <= 0

    def left(self, error: ServiceError, now: float) -> float:
        """Return for how many seconds more such an error is borne; none at all if it is final."""
        if error.is_transient:
            limit = self.seconds
        elif error.may_be_stray:
            limit = min(self.seconds, STRAY_ERROR_BUDGET)
        else:
            limit = 0
        return limit - (now - (now if self._since is None else self._since))

    @property
    def failing(self) -> bool:
        return self._since is not None


class Durations:
    """How long the runs of an application usually take: from the end of some, when to expect the next.

    :param applications: how many are remembered, those heard of last.
    :param runs: how many of each, the last ones.
    """

    #: One run says little about the next; three say something.
    ENOUGH = 3

    def __init__(self, applications: int = 500, runs: int = 20) -> None:
        self._applications = applications
        self._runs = runs
        self._seconds: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, application_id: str, seconds: float) -> None:
        """A run has succeeded after so many seconds; one that failed says little about when others end."""
        known = self._seconds.setdefault(application_id, deque(maxlen=self._runs))
        known.append(seconds)
        self._seconds.move_to_end(application_id)
        if len(self._seconds) > self._applications:
            self._seconds.popitem(last=False)

    def usual(self, application_id: str | None) -> tuple[float, float] | None:
        """The shortest and the longest that is usual, in seconds, if enough runs are known."""
        known = self._seconds.get(application_id or "", ())
        if len(known) < self.ENOUGH:
            return None
        ordered = sorted(known)
        outliers = len(ordered) // 10
        return ordered[outliers] * 0.95, ordered[-1 - outliers] * 1.05


def interval(
    poll_interval: float, state: str | None, age: float, usual: tuple[float, float] | None = None
) -> float:
    """Seconds until a run is worth asking for again: ``poll_interval`` at least, eight times that at most.

    :param poll_interval: the least that is allowed, in seconds.
    :param state: when last seen. Only a run that is IN_PROGRESS is ever asked for less often.
    :param age: seconds since the run was created.
    :param usual: between which ages runs of its application have ended so far (:class:`Durations`).
    """
    if state != LifecycleState.IN_PROGRESS:
        return poll_interval
    worth = age * GROWTH
    if usual:
        earliest, latest = usual
        if age < earliest:
            worth = earliest - age
        else:
            worth = min(worth, (latest - earliest) / PARTS + max(0.0, age - latest) * GROWTH)
    return min(max(worth, poll_interval), poll_interval * STRETCH)
