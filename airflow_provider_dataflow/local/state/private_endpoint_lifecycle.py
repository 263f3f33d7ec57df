"""Life cycle of private endpoints."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_dataflow.local.http.messages import JSON, ApiError
from airflow_provider_dataflow.local.state.clock import Timeline
from airflow_provider_dataflow.local.state.live_runs import LiveRuns
from airflow_provider_dataflow.local.state.managed_lifecycle import ManagedLifecycle
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.store import PRIVATE_ENDPOINTS, Filter, Record, Store
from airflow_provider_dataflow.local.state.transitions import Transitions
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
    INACTIVE = "INACTIVE"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"


State = PrivateEndpointLifecycleState
#: States of an endpoint that can be used, changed and deleted.
READY_STATES = (State.ACTIVE, State.INACTIVE)


class PrivateEndpointLifecycle(ManagedLifecycle):
    """Changes of private endpoints by the API, each with a work request, and by runs.

    An endpoint is INACTIVE until a run uses it. Then it is ACTIVE until a run uses another one.
    """

    noun = "private endpoint"
    work_request_noun = "PRIVATE_ENDPOINT"

    def __init__(
        self,
        store: Store,
        timeline: Timeline,
        options: Options,
        *,
        work_requests: WorkRequests,
        live_runs: LiveRuns,
    ) -> None:
        super().__init__(options, work_requests)
        self._store = store
        self._live_runs = live_runs
        self.transitions = Transitions(
            store, PRIVATE_ENDPOINTS, timeline=timeline, entered=self.finish_if_settled
        )

    def create(self, record: Record, path: str) -> str:
        request = self._begin("CREATE", record, path)
        self._go(record, State.CREATING, State.INACTIVE)
        return request

    def update(self, record: Record, details: JSON, path: str, verb: str = "UPDATE") -> str:
        self._check_state(record, "updated", *READY_STATES)
        request = self._begin(verb, record, path)
        record.body.update(details)
        self._go(record, State.UPDATING, record.body["lifecycleState"])
        return request

    def delete(self, record: Record, path: str) -> str:
        self._check_state(record, "deleted", *READY_STATES)
        if self._live_runs.is_private_endpoint_in_use(record.id):
            raise ApiError(409, "Conflict", "The private endpoint has a run that has not ended.")
        request = self._begin("DELETE", record, path)
        self._go(record, State.DELETING, State.DELETED)
        return request

    def run_started(self, private_endpoint_id: str) -> None:
        """Make the private endpoint of a run the active one, which ends an update of it."""
        record = self._store.get(PRIVATE_ENDPOINTS, private_endpoint_id)
        if record is None or record.body["lifecycleState"] not in (State.INACTIVE, State.UPDATING):
            return
        for other in self._store.select(PRIVATE_ENDPOINTS, [Filter("state", "=", State.ACTIVE)]):
            self._go(other, State.INACTIVE)
        self._go(record, State.ACTIVE)
