"""Operations of private endpoints."""

from __future__ import annotations

from typing import ClassVar

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import listing_by_state_and_name
from airflow_provider_dataflow.local.api.managed_resources import ManagedResourceApi
from airflow_provider_dataflow.local.api.request_bodies import (
    CREATE_PRIVATE_ENDPOINT,
    UPDATE_PRIVATE_ENDPOINT,
)
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.private_endpoint_lifecycle import PrivateEndpointLifecycleState
from airflow_provider_dataflow.local.state.store import PRIVATE_ENDPOINTS

SUMMARY_FIELDS = (
    "compartmentId", "definedTags", "displayName", "dnsZones", "freeformTags", "id", "lifecycleState",
    "maxHostCount", "nsgIds", "ownerPrincipalId", "ownerUserName", "scanDetails", "subnetId", "timeCreated",
    "timeUpdated", "securityAttributes",
)  # fmt: skip
# API reference: "If the value is not a multiple of 256, it is rounded up to the next multiple of 256."
_HOST_COUNT_STEP = 256


class PrivateEndpointsApi(ManagedResourceApi):
    """Routes and request handlers of private endpoints."""

    noun = "PrivateEndpoint"
    path = "/privateEndpoints"
    ocid_type = "dataflowprivateendpoint"
    kind = PRIVATE_ENDPOINTS
    listing = listing_by_state_and_name(PRIVATE_ENDPOINTS, PrivateEndpointLifecycleState)
    fields = (*SUMMARY_FIELDS, "description", "lifecycleDetails")
    summary_fields = SUMMARY_FIELDS
    create_body = CREATE_PRIVATE_ENDPOINT
    update_body = UPDATE_PRIVATE_ENDPOINT
    defaults: ClassVar[JSON] = {
        **{"definedTags": {}, "freeformTags": {}, "nsgIds": []},
        "maxHostCount": _HOST_COUNT_STEP,
    }

    def __init__(self, context: Context) -> None:
        super().__init__(context, context.lifecycle.private_endpoints)

    def prepared(self, details: JSON) -> JSON:
        """Return the fields with ``maxHostCount`` rounded up."""
        count = details.get("maxHostCount")
        if count is None:
            return details
        return {**details, "maxHostCount": -(-count // _HOST_COUNT_STEP) * _HOST_COUNT_STEP}

    def complete(self, body: JSON) -> None:
        body["displayName"] = body["displayName"] or f"private endpoint {body['timeCreated']}"
