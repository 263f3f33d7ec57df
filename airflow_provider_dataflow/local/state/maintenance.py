"""Planned maintenance of STREAMING runs: the service stops a run and starts its successor."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.clock import Timeline, rfc3339
from airflow_provider_dataflow.local.state.live_runs import live_runs_of_application
from airflow_provider_dataflow.local.state.ocids import ocid
from airflow_provider_dataflow.local.state.store import RUNS, Filter, Record, Store
from airflow_provider_dataflow.models.run import LifecycleState

log = logging.getLogger(__name__)

STREAMING = "STREAMING"
DETAILS = "The run was stopped for maintenance. A new run of the application continues from its checkpoint."
#: ``opcRequestId`` of a run that no request created.
SERVICE_REQUEST_ID = "maintenance"

# Keys in a run's internal fields: seconds from its end to its successor, whether the successor gets its tags,
# and when the successor starts, in seconds since the epoch.
_AFTER, _COPY_TAGS, _DUE = "successorAfter", "successorTags", "successorDue"
# Name of the planned event.
_SUCCESSOR = "successor"


class StreamingMaintenance:
    """Stops STREAMING runs for maintenance, and starts their successors. Called under the service's lock.

    :param submit: stores a new run as ACCEPTED.
    :param stop: takes a run in progress and the reason; the run becomes STOPPING.
    """

    def __init__(
        self,
        store: Store,
        timeline: Timeline,
        *,
        submit: Callable[[Record], None],
        stop: Callable[[Record, str], None],
    ) -> None:
        self._store = store
        self._timeline = timeline
        self._submit = submit
        self._stop = stop

    def start(self, record: Record, successor_after: float, *, copy_tags: bool) -> None:
        """Stop a STREAMING run that is in progress.

        :param successor_after: seconds from the end of the run to its successor.
        :param copy_tags: whether the successor gets the tags of the run.
        """
        record.internal.update({_AFTER: successor_after, _COPY_TAGS: copy_tags})
        self._stop(record, DETAILS)

    def run_ended(self, record: Record) -> None:
        """Plan the successor of a run that was stopped for maintenance."""
        after = record.internal.pop(_AFTER, None)
        if after is None or record.body["lifecycleState"] != LifecycleState.STOPPED:
            return
        record.internal[_DUE] = self._timeline.now() + after
        self._store.update(RUNS, record)
        self._plan(record)

    def recover(self) -> None:
        """Plan the successors that an earlier server process has not started."""
        for record in self._store.select(RUNS, [Filter("state", "=", LifecycleState.STOPPED)]):
            if _DUE in record.internal:
                self._plan(record)

    def _plan(self, record: Record) -> None:
        def start() -> None:
            current = self._store.get(RUNS, record.id)
            if current is not None:
                self._start_successor(current)

        self._timeline.plan(record.internal[_DUE], start, (record.id, _SUCCESSOR))

    def _start_successor(self, stopped: Record) -> None:
        del stopped.internal[_DUE]
        if live := live_runs_of_application(self._store, stopped.body["applicationId"]):
            log.warning("Run %s gets no successor: the run %s is live", stopped.id, live[0].id)
            self._store.update(RUNS, stopped)
            return
        body: JSON = copy.deepcopy(stopped.body)
        body.update(
            id=ocid("dataflowrun"),
            opcRequestId=SERVICE_REQUEST_ID,
            timeCreated=rfc3339(self._timeline.now()),
            lifecycleDetails=None,
            runDurationInMilliseconds=None,
            dataReadInBytes=None,
            dataWrittenInBytes=None,
        )
        if not stopped.internal.get(_COPY_TAGS):
            body.update(freeformTags={}, definedTags={})
        with self._store.transaction():
            self._store.update(RUNS, stopped)
            self._submit(Record(body, {"submission": stopped.internal.get("submission", {})}))
        log.info("Run %s is the successor of run %s", body["id"], stopped.id)
