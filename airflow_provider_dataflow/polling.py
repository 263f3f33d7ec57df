"""When to ask again, and when to stop believing: shared by the waits in workers and in the triggerer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from airflow_provider_dataflow.exceptions import ServiceError

#: Seconds. An outage of the API shorter than this is a log line, not a failed task.
DEFAULT_ERROR_BUDGET = 30 * 60
#: Seconds. 401, 403 and 404 look final, but OCI's IAM is eventually consistent: not at first sight.
STRAY_ERROR_BUDGET = 5 * 60
DEFAULT_POLL_INTERVAL = 30.0
#: Seconds. Airflow can fail a healthy task whose trigger fires while its worker is still signing off.
NO_EVENT_BEFORE = 10.0


def jittered(interval: float) -> float:
    """The interval, give or take a tenth, so that many waits do not ask in step."""
    return interval * random.uniform(0.9, 1.1)  # noqa: S311


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


@dataclass
class ErrorBudget:
    """How long errors are borne before a run counts as out of sight.

    :param seconds: how long in a row, 30 minutes by default.
    """

    seconds: float = DEFAULT_ERROR_BUDGET
    _since: float | None = field(default=None, init=False)

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
        if error.is_transient:
            limit = self.seconds
        elif error.may_be_stray:
            limit = min(self.seconds, STRAY_ERROR_BUDGET)
        else:
            limit = 0
        return now - self._since >= limit

    @property
    def failing(self) -> bool:
        return self._since is not None
