"""Settings, error budget, jitter and heartbeat of every wait, in workers and in the triggerer."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from airflow_provider_dataflow.exceptions import ServiceError

#: Seconds. A shorter outage of the API is a log line, not a failed task.
DEFAULT_ERROR_BUDGET = 30 * 60
#: 401, 403 and 404 are retried too, for a shorter time: OCI's IAM is eventually consistent.
STRAY_ERROR_BUDGET_SECONDS = 5 * 60
#: Seconds.
DEFAULT_POLL_INTERVAL = 30.0
#: Six hours: a backfill may have to wait until other runs of the night have ended.
DEFAULT_SUBMIT_TIMEOUT_SECONDS = 6 * 3600.0
#: Seconds from the end of a STREAMING run to the successor that the service starts after maintenance. Oracle
#: does not document how soon it appears.
DEFAULT_SUCCESSOR_TIMEOUT_SECONDS = 3600.0
#: Airflow kills a worker 5 seconds after telling it to end, and a trigger after 30.
DEFAULT_CANCEL_TIMEOUT_SECONDS = 25.0
#: Airflow's deferral timeout is this much later than the trigger's deadline. The service's
#: ``max_duration_in_minutes`` is at least this much longer than the task's timeout.
TIMEOUT_MARGIN_SECONDS = 300
#: Seconds. Airflow can fail a healthy task if its trigger fires before the worker has finished the deferral.
DEFAULT_NO_EVENT_BEFORE = 10.0
#: To the service, per connection and triggerer process, opened when they are needed: enough for the default
#: rate if a response takes half a second.
MAX_CONNECTIONS = 10
#: Per connection and triggerer process. OCI publishes no limit; a 429 lowers the rate for a while.
MAX_REQUESTS_PER_SECOND = 20.0
#: The last poll of a wait may take this long, even after the deadline.
LAST_POLL_SECONDS = 5.0
#: Between two looks of a triggerer for tasks that ended without their trigger. With the 30 seconds that a
#: trigger has for its own cancel, what a killed task has left is cancelled within a minute.
DEFAULT_SWEEP_INTERVAL_SECONDS = 15.0
#: Between two log lines about a resource whose state does not change.
HEARTBEAT_SECONDS = 600.0


# --- The poller in the triggerer: client/poller -------------------------------------------------------------

#: A poll follows the one before after a random part of its interval: at least this share, never more than 1.
#: So waits do not poll in step, and an event is never later than the interval.
MIN_JITTER = 0.75
#: From this many runs on, a compartment is polled by ListRuns instead of one GetRun per run. A round takes
#: one or two pages: of IN_PROGRESS, and of ACCEPTED if there are more than ``GETS_PER_PAGE``.
LIST_THRESHOLD = 10
#: A page of ListRuns costs the service about as much as this many GetRuns.
GETS_PER_PAGE = 5
#: Runs per page. A page of 1,000 is parsed in 6 ms; if the service refuses it, the fallback is used.
LIST_PAGE_SIZE, FALLBACK_PAGE_SIZE = 1000, 100
#: The first poll of a new subscription waits for others for this long, so that a thousand share one ListRuns.
COLLECT_SECONDS = 1.0
#: If only ListRuns fails, each run is polled by GetRun for this long, and twice as long each further time.
MIN_LIST_RETRY_SECONDS, MAX_LIST_RETRY_SECONDS = 60.0, 600.0
#: After a refusal of ListRuns, or this many failed rounds in a row, a few runs are polled by GetRun, to see
#: if only ListRuns fails. One of them may be unreadable itself.
MAX_FAILED_ROUNDS, PROBED_RUNS = 2, 5
#: Polls that are later than this are logged, once: the requests exceed the rate limit.
LATE_SECONDS = 10.0
#: A job without progress for ``STUCK_SECONDS`` is given up. Each of its requests has a shorter timeout. A run
#: whose job was given up or has failed is polled again after ``CHECK_SECONDS``.
CHECK_SECONDS, STUCK_SECONDS = 30.0, 900.0
#: Seconds for which a loop over many runs may hold the event loop.
MAX_BLOCK_SECONDS = 0.005
#: Triggers that begin to poll in one iteration of the event loop, each in about 30 microseconds.
MAX_STARTS_PER_ITERATION = 100
#: The end of a poller waits this long for its requests to end.
STOP_SECONDS = 10.0
#: Last resort against a request that hangs. The client's own timeouts are shorter.
REQUEST_TIMEOUT_SECONDS = 300.0
#: After a 429, the request rate grows from 0 to its limit in this time, and never falls below the minimum.
RATE_RECOVERY_SECONDS, MIN_REQUESTS_PER_SECOND = 120.0, 0.2
#: Other requests of the connection (logs, statements, pools, cancels) that can be ahead of a poll at the rate
#: limit, however many are waiting.
MAX_OTHERS_AHEAD = 4
#: Submits of a triggerer at a time: enough for the rate limit if each of their requests takes a second.
MAX_CONCURRENT_SUBMITS = 16
#: Longest pause of the service that a thread of the triggerer waits for. A kill waits for the thread.
MAX_RATE_LIMIT_WAIT_SECONDS = 60.0


#: Upper limit of each pause before a poll or an event, in seconds. Only the pytest plugin sets it.
longest_pause = math.inf


def jittered(interval: float) -> float:
    """Return the interval minus up to 25 %, so that waits do not poll in step, and never too late."""
    return limited(interval) * random.uniform(MIN_JITTER, 1.0)  # noqa: S311


def limited(pause: float) -> float:
    """Return a pause in seconds, or :data:`longest_pause` if that is shorter."""
    return min(pause, longest_pause)


@dataclass
class Heartbeat:
    """Timer for the log line that says that nothing has changed.

    :param since: of a monotonic clock, in seconds.
    """

    since: float

    def is_due(self, now: float) -> bool:
        """Return True once every ten minutes."""
        if now - self.since < HEARTBEAT_SECONDS:
            return False
        self.since = now
        return True


@dataclass(slots=True)
class ErrorBudget:
    """Time for which service errors in a row are tolerated before a wait gives up.

    :param seconds: 30 minutes by default.
    """

    seconds: float = DEFAULT_ERROR_BUDGET
    _since: float | None = field(default=None, init=False)

    def success(self) -> bool:
        """Reset the budget after a response. Return True if the request before had failed."""
        had_failed, self._since = self._since is not None, None
        return had_failed

    def failure(self, error: ServiceError, now: float) -> bool:
        """Count an error, or a missing response. Return True if the budget is used up.

        :param now: of a monotonic clock, in seconds.
        """
        if self._since is None:
            self._since = now
        return self.left(error, now) <= 0

    def left(self, error: ServiceError, now: float) -> float:
        """Return the seconds for which this error is still tolerated: 0 or less if the wait must give up."""
        if error.is_transient:
            limit = self.seconds
        elif error.may_be_stray:
            limit = min(self.seconds, STRAY_ERROR_BUDGET_SECONDS)
        else:
            limit = 0
        return limit - (now - (now if self._since is None else self._since))

    @property
    def failing(self) -> bool:
        """True after an error, until the next response."""
        return self._since is not None
