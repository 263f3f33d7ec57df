"""How long the runs of each application have taken so far."""

from __future__ import annotations

import logging
import math

from airflow_provider_dataflow.client.poller.request_sender import Sender
from airflow_provider_dataflow.client.poller.subscriptions import Watch
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.polling import Durations

log = logging.getLogger(__name__)

#: Seconds after which the recent runs of an application are looked at again.
LOOK_BACK_EVERY = 3600.0
#: Poll intervals after which a run is old enough for that to pay.
LOOK_BACK_AFTER = 4
#: Runs that are looked at.
LOOK_BACK_AT = 25


class History:
    """Learns from each run that is seen to end, and asks for earlier ones where that pays."""

    def __init__(self, sender: Sender) -> None:
        self.durations = Durations()
        self._sender = sender
        self._looked_back: dict[str, float] = {}

    def learn(self, run: Run) -> None:
        if run.succeeded and run.application_id and run.time_created and run.time_updated:
            self.durations.add(run.application_id, (run.time_updated - run.time_created).total_seconds())

    async def look_back(self, watch: Watch, now: float) -> None:
        """How long the application's last runs took: one request an hour, where a run is long enough.

        :param now: in seconds since the epoch.
        """
        application_id, compartment = watch.application_id, watch.compartment
        if not application_id or not compartment or compartment.listing or watch.created is None:
            return
        if (
            self.durations.usual(application_id)
            or not watch.is_waited_for
            or now - watch.created < LOOK_BACK_AFTER * watch.subscriptions[0].poll_interval
            or now - self._looked_back.get(application_id, -math.inf) < LOOK_BACK_EVERY
        ):
            return
        if len(self._looked_back) > 10_000:
            self._looked_back.clear()
        self._looked_back[application_id] = now
        try:
            found, _ = await self._sender.send(
                lambda client: client.list_runs_page(
                    compartment.id, application_id=application_id, limit=LOOK_BACK_AT
                )
            )
            for row in reversed(found.rows):
                self.learn(Run.from_api(row))
        except Exception as error:  # noqa: BLE001 - it is only for the better
            log.debug("The last runs of %s are unknown: %s", application_id, error)
