"""Operations of private endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import listing_by_state_and_name
from airflow_provider_dataflow.local.api.request_bodies import (
    CHANGE_COMPARTMENT,
    CREATE_PRIVATE_ENDPOINT,
    UPDATE_PRIVATE_ENDPOINT,
)
from airflow_provider_dataflow.local.api.resources import (
    accepted,
    collection,
    identity_fields,
    load,
    load_for_change,
    resource,
)
from airflow_provider_dataflow.local.api.retry_tokens import create_once
from airflow_provider_dataflow.local.http.messages import JSON, Request, Response, Route
from airflow_provider_dataflow.local.state.private_endpoint_lifecycle import PrivateEndpointLifecycleState
from airflow_provider_dataflow.local.state.store import PRIVATE_ENDPOINTS, Record

SUMMARY_FIELDS = (
    "compartmentId", "definedTags", "displayName", "dnsZones", "freeformTags", "id", "lifecycleState",
    "maxHostCount", "nsgIds", "ownerPrincipalId", "ownerUserName", "scanDetails", "subnetId", "timeCreated",
    "timeUpdated", "securityAttributes",
)  # fmt: skip
FIELDS = (*SUMMARY_FIELDS, "description", "lifecycleDetails")
# API reference: "If the value is not a multiple of 256, it is rounded up to the next multiple of 256."
_HOST_COUNT_STEP = 256

LISTING = listing_by_state_and_name(PRIVATE_ENDPOINTS, PrivateEndpointLifecycleState)


class PrivateEndpointsApi:
    """Routes and request handlers of private endpoints."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.endpoints = context.lifecycle.private_endpoints

    def routes(self) -> Iterator[Route]:
        one = "/privateEndpoints/{private_endpoint_id}"
        yield Route("CreatePrivateEndpoint", "POST", "/privateEndpoints", self.create)
        yield Route("ListPrivateEndpoints", "GET", "/privateEndpoints", self.list_page)
        yield Route("GetPrivateEndpoint", "GET", one, self.get)
        yield Route("UpdatePrivateEndpoint", "PUT", one, self.update)
        yield Route("DeletePrivateEndpoint", "DELETE", one, self.delete)
        yield Route("ChangePrivateEndpointCompartment", "POST", f"{one}/actions/changeCompartment", self.move)

    def create(self, request: Request) -> Response:
        details = CREATE_PRIVATE_ENDPOINT.read(request)
        record = create_once(self.context, PRIVATE_ENDPOINTS, request, lambda: self._create(request, details))
        return accepted(record, record.internal["created"], record.body)

    def _create(self, request: Request, details: JSON) -> Record:
        body: JSON = dict.fromkeys(FIELDS)
        body.update(definedTags={}, freeformTags={}, nsgIds=[], maxHostCount=_HOST_COUNT_STEP)
        body.update(_rounded(details))
        body.update(identity_fields(self.context, request, "dataflowprivateendpoint"))
        body["displayName"] = body["displayName"] or f"private endpoint {body['timeCreated']}"
        record = Record(body)
        with self.context.store.transaction():
            # Work request id, which a repeated create returns again.
            record.internal["created"] = self.endpoints.create(record, _path(record))
            self.context.store.update_internal(PRIVATE_ENDPOINTS, record)
        return record

    def list_page(self, request: Request) -> Response:
        records, next_page = LISTING.page(self.context, request.query())
        return collection((r.body for r in records), next_page, SUMMARY_FIELDS)

    def get(self, request: Request, private_endpoint_id: str) -> Response:
        record = load(self.context, PRIVATE_ENDPOINTS, private_endpoint_id)
        return resource(record, record.body)

    def update(self, request: Request, private_endpoint_id: str) -> Response:
        details = UPDATE_PRIVATE_ENDPOINT.read(request)
        record = load_for_change(self.context, PRIVATE_ENDPOINTS, request, private_endpoint_id)
        return accepted(record, self.endpoints.update(record, _rounded(details), _path(record)))

    def delete(self, request: Request, private_endpoint_id: str) -> Response:
        record = load_for_change(self.context, PRIVATE_ENDPOINTS, request, private_endpoint_id)
        return accepted(record, self.endpoints.delete(record, _path(record)))

    def move(self, request: Request, private_endpoint_id: str) -> Response:
        details = CHANGE_COMPARTMENT.read(request)
        record = load_for_change(self.context, PRIVATE_ENDPOINTS, request, private_endpoint_id)
        return accepted(record, self.endpoints.update(record, details, _path(record), "MOVE"))


def _rounded(details: JSON) -> JSON:
    """Return the request body with ``maxHostCount`` rounded up."""
    count = details.get("maxHostCount")
    return (
        details
        if count is None
        else {**details, "maxHostCount": -(-count // _HOST_COUNT_STEP) * _HOST_COUNT_STEP}
    )


def _path(record: Record) -> str:
    return f"/privateEndpoints/{record.id}"
