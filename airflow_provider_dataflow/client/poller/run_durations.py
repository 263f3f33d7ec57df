"""Recent run durations by application, to predict when the next run ends."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict, deque

from airflow_provider_dataflow.client.poller.request_sender import RequestSender
from airflow_provider_dataflow.models.run import Run

log = logging.getLogger(__name__)

#: An application's earlier runs are looked up at most this often ...
LOOKUP_EVERY_SECONDS = 3600.0
#: ... and only for a run that is older than this many poll intervals.
LOOKUP_AFTER_INTERVALS = 4
LOOKUP_MAX_RUNS = 25
#: Applications whose last lookup is remembered.
MAX_LOOKUPS = 10_000


class DurationHistory:
    """Durations of the last succeeded runs of each application.

    :param applications: number of applications that are kept, those updated last.
    :param runs: number of runs that are kept per application.
    """

    #: With fewer runs, no usual duration is known.
    MIN_RUNS = 3

    def __init__(self, applications: int = 500, runs: int = 20) -> None:
        self._applications = applications
        self._runs = runs
        self._seconds: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, application_id: str, seconds: float) -> None:
        """Add the duration of a succeeded run. A failed run does not predict when others end."""
        known = self._seconds.setdefault(application_id, deque(maxlen=self._runs))
        known.append(seconds)
        self._seconds.move_to_end(application_id)
        if len(self._seconds) > self._applications:
            self._seconds.popitem(last=False)

    def usual(self, application_id: str | None) -> tuple[float, float] | None:
        """Return the shortest and the longest usual duration in seconds; None if too few runs are known."""
        known = self._seconds.get(application_id or "", ())
        if len(known) < self.MIN_RUNS:
            return None
        ordered = sorted(known)
        outliers = len(ordered) // 10
        return ordered[outliers] * 0.95, ordered[-1 - outliers] * 1.05


class DurationLearner:
    """Fills a :class:`DurationHistory` from runs that end, and from a lookup of earlier runs."""

    def __init__(self, sender: RequestSender) -> None:
        self.history = DurationHistory()
        self._sender = sender
        self._looked_up_at: dict[str, float] = {}

    def learn(self, run: Run) -> None:
        """Add the duration of the run if it has succeeded."""
        if run.succeeded and run.application_id and run.time_created and run.time_updated:
            self.history.add(run.application_id, (run.time_updated - run.time_created).total_seconds())

    async def look_up(
        self, application_id: str, compartment_id: str, age: float, poll_interval: float, now: float
    ) -> None:
        """Look up the application's last runs by one ListRuns, at most once an hour. Never fails.

        Skipped for a short run, where the prediction would save fewer requests than the lookup costs.

        :param age: of the run that is polled, in seconds.
        :param poll_interval: of the run that is polled, in seconds.
        :param now: in seconds since 1970.
        """
        if (
            self.history.usual(application_id)
            or age < LOOKUP_AFTER_INTERVALS * poll_interval
            or now - self._looked_up_at.get(application_id, -math.inf) < LOOKUP_EVERY_SECONDS
        ):
            return
        if len(self._looked_up_at) > MAX_LOOKUPS:
            self._looked_up_at.clear()
        self._looked_up_at[application_id] = now
        try:
            page = await self._sender.send(
                lambda client: client.list_runs_page(
                    compartment_id, application_id=application_id, limit=LOOKUP_MAX_RUNS
                )
            )
            for row in reversed(page.rows):
                self.learn(Run.from_api(row))
        except Exception as error:  # noqa: BLE001 - polling works without a prediction
            log.debug(
                "Application %s: cannot look up the durations of its last runs: %s", application_id, error
            )
