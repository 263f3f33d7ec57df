"""Operations of SQL endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import Listing
from airflow_provider_dataflow.local.api.managed_resources import StoppableResourceApi
from airflow_provider_dataflow.local.api.request_bodies import CREATE_SQL_ENDPOINT, UPDATE_SQL_ENDPOINT
from airflow_provider_dataflow.local.http.messages import JSON, missing
from airflow_provider_dataflow.local.state.sql_endpoint_lifecycle import SqlEndpointLifecycleState
from airflow_provider_dataflow.local.state.store import SQL_ENDPOINTS, Filter, Record

FIELDS = (
    "bannerMessage", "compartmentId", "definedTags", "description", "displayName", "driverShape",
    "driverShapeConfig", "executorShape", "executorShapeConfig", "freeformTags", "id", "jdbcEndpointUrl",
    "lakeId", "lastAcceptedRequestToken", "lifecycleState", "maxExecutorCount", "metastoreId",
    "minExecutorCount", "networkConfiguration", "sparkAdvancedConfigurations", "sqlEndpointVersion",
    "stateMessage", "systemTags", "timeCreated", "timeUpdated", "warehouseBucketUri",
)  # fmt: skip
# Settings of the endpoint's log: stored, but not returned.
WRITE_ONLY_FIELDS = (
    "logCompartmentId",
    "logDisplayName",
    "logGroupId",
    "logOperation",
    "logRetentionDuration",
)
SUMMARY_FIELDS = (*(name for name in FIELDS if name != "bannerMessage"), "ownerPrincipalId")


@dataclass(frozen=True, slots=True)
class SqlEndpointListing(Listing):
    """List operation of SQL endpoints, which needs a compartment or an id."""

    def page(
        self, context: Context, query: Mapping[str, str], *also: Filter
    ) -> tuple[list[Record], str | None]:
        if not query.get("compartmentId") and not query.get("sqlEndpointId"):
            raise missing("compartmentId or sqlEndpointId is required.")
        return super(SqlEndpointListing, self).page(context, query, *also)


class SqlEndpointsApi(StoppableResourceApi):
    """Routes and request handlers of SQL endpoints."""

    noun = "SqlEndpoint"
    path = "/sqlEndpoints"
    ocid_type = "dataflowsqlendpoint"
    kind = SQL_ENDPOINTS
    listing = SqlEndpointListing(
        SQL_ENDPOINTS,
        filters={
            "compartmentId": ("compartment_id", "="),
            "displayName": ("display_name", "="),
            "lifecycleState": ("state", "="),
            "sqlEndpointId": ("id", "="),
        },
        sorts={"timeCreated": "time_created", "displayName": "display_name", "id": "id"},
        one_filter=False,
        in_compartment=False,
        values={"lifecycleState": tuple(SqlEndpointLifecycleState)},
    )
    fields = (*FIELDS, *WRITE_ONLY_FIELDS)
    summary_fields = SUMMARY_FIELDS
    create_body = CREATE_SQL_ENDPOINT
    update_body = UPDATE_SQL_ENDPOINT
    defaults: ClassVar[JSON] = {"definedTags": {}, "freeformTags": {}, "systemTags": {}}

    def __init__(self, context: Context) -> None:
        super().__init__(context, context.lifecycle.sql_endpoints)

    def shown(self, record: Record) -> JSON:
        return {name: record.body[name] for name in FIELDS}
