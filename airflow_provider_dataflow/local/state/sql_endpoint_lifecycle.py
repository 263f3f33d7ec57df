"""Life cycle of SQL endpoints."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_dataflow.local.http.messages import JSON, ApiError
from airflow_provider_dataflow.local.state.clock import Timeline
from airflow_provider_dataflow.local.state.managed_lifecycle import ManagedLifecycle
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.store import SQL_ENDPOINTS, Record, Store
from airflow_provider_dataflow.local.state.transitions import Transitions
from airflow_provider_dataflow.local.state.work_requests import WorkRequests


class SqlEndpointLifecycleState(StrEnum):
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"  # never entered
    UPDATING = "UPDATING"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"  # never entered: its cause is not documented
    INACTIVE = "INACTIVE"


State = SqlEndpointLifecycleState


class SqlEndpointLifecycle(ManagedLifecycle):
    """Changes of SQL endpoints, each with a work request. A stopped endpoint is INACTIVE.

    The states between INACTIVE and ACTIVE are not published; UPDATING is the only one that fits.
    """

    noun = "SQL endpoint"
    work_request_noun = "SQL_ENDPOINT"

    def __init__(
        self, store: Store, timeline: Timeline, options: Options, *, work_requests: WorkRequests
    ) -> None:
        super().__init__(options, work_requests)
        self.transitions = Transitions(store, SQL_ENDPOINTS, timeline=timeline, entered=self._entered)

    def resume(self) -> None:
        self.transitions.resume()

    def clear(self) -> None:
        self.transitions.clear()

    def create(self, record: Record, path: str) -> str:
        _check_counts(record.body)
        request = self._begin("CREATE", record, path)
        self._go(record, State.CREATING, State.ACTIVE)
        return request

    def start(self, record: Record, path: str) -> str:
        self._check_state(record, "started", State.INACTIVE)
        request = self._begin("START", record, path)
        self._go(record, State.UPDATING, State.ACTIVE)
        return request

    def stop(self, record: Record, path: str) -> str:
        self._check_state(record, "stopped", State.ACTIVE)
        request = self._begin("STOP", record, path)
        self._go(record, State.UPDATING, State.INACTIVE)
        return request

    def update(self, record: Record, details: JSON, path: str, verb: str = "UPDATE") -> str:
        self._check_state(record, "updated", State.ACTIVE, State.INACTIVE)
        _check_counts({**record.body, **details})
        request = self._begin(verb, record, path)
        record.body.update(details)
        self._go(record, State.UPDATING, record.body["lifecycleState"])
        return request

    def delete(self, record: Record, path: str) -> str:
        self._check_state(record, "deleted", State.ACTIVE, State.INACTIVE, State.FAILED)
        request = self._begin("DELETE", record, path)
        self._go(record, State.DELETING, State.DELETED)
        return request

    def maintain(self, record: Record, seconds: float | None = None) -> None:
        """Put an endpoint into maintenance: UPDATING, then ACTIVE again, without a work request.

        :param seconds: duration. Default: that of other changes.
        """
        self._check_state(record, "maintained", State.ACTIVE)
        duration = self._options.transition_seconds if seconds is None else seconds
        self.transitions.start(record, duration, State.UPDATING, State.ACTIVE)

    def _entered(self, record: Record) -> None:
        is_active = record.body["lifecycleState"] == State.ACTIVE
        record.body["jdbcEndpointUrl"] = _jdbc_url(record) if is_active else None
        self.finish_if_settled(record)


def _jdbc_url(record: Record) -> str:
    """Return a URL in the form of the service. The host does not exist."""
    return f"jdbc:spark://{record.id[-12:]}.sqlendpoint.invalid:443/default;SparkServerType=DFI"


def _check_counts(body: JSON) -> None:
    if body["minExecutorCount"] > body["maxExecutorCount"]:
        raise ApiError(400, "InvalidParameter", "minExecutorCount must not be larger than maxExecutorCount.")
