"""Life cycle of private endpoints."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_dataflow.local.http.messages import JSON, ApiError
from airflow_provider_dataflow.local.state.clock import Timeline
from airflow_provider_dataflow.local.state.live_runs import LiveRuns
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.store import PRIVATE_ENDPOINTS, Record, Store
from airflow_provider_dataflow.local.state.transitions import Transitions, is_settled
from airflow_provider_dataflow.local.state.work_requests import WorkRequests

# Fields of a run that are copied from its private endpoint.
RUN_FIELDS = {
    "privateEndpointDnsZones": "dnsZones",
    "privateEndpointMaxHostCount": "maxHostCount",
    "privateEndpointNsgIds": "nsgIds",
    "privateEndpointSubnetId": "subnetId",
}


class PrivateEndpointLifecycleState(StrEnum):
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"  # never entered: its cause is not documented
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"


class PrivateEndpointLifecycle:
    """Changes of private endpoints, each with a work request."""

    def __init__(
        self,
        store: Store,
        timeline: Timeline,
        options: Options,
        *,
        work_requests: WorkRequests,
        live_runs: LiveRuns,
    ) -> None:
        self._options = options
        self._work_requests = work_requests
        self._live_runs = live_runs
        self.transitions = Transitions(store, PRIVATE_ENDPOINTS, timeline=timeline, entered=self._entered)

    def create(self, record: Record, path: str) -> str:
        request = self._work_requests.begin("CREATE_PRIVATE_ENDPOINT", record, path)
        self._go(record, PrivateEndpointLifecycleState.CREATING, PrivateEndpointLifecycleState.ACTIVE)
        return request

    def update(self, record: Record, details: JSON, path: str, verb: str = "UPDATE") -> str:
        self._check_state(record, "updated")
        request = self._work_requests.begin(f"{verb}_PRIVATE_ENDPOINT", record, path)
        record.body.update(details)
        self._go(record, PrivateEndpointLifecycleState.UPDATING, PrivateEndpointLifecycleState.ACTIVE)
        return request

    def delete(self, record: Record, path: str) -> str:
        self._check_state(record, "deleted")
        if self._live_runs.is_private_endpoint_in_use(record.id):
            raise ApiError(409, "Conflict", "The private endpoint has a run that has not ended.")
        request = self._work_requests.begin("DELETE_PRIVATE_ENDPOINT", record, path)
        self._go(record, PrivateEndpointLifecycleState.DELETING, PrivateEndpointLifecycleState.DELETED)
        return request

    @staticmethod
    def _check_state(record: Record, what: str) -> None:
        state = record.body["lifecycleState"]
        if state != PrivateEndpointLifecycleState.ACTIVE:
            code = "Conflict" if is_settled(record) else "IncorrectState"
            raise ApiError(409, code, f"A private endpoint that is {state} cannot be {what}.")

    def _go(self, record: Record, *states: str) -> None:
        self.transitions.start(record, self._options.transition_seconds, *states)

    def _entered(self, record: Record) -> None:
        if is_settled(record):
            self._work_requests.finish(record)
