"""Operations of pools."""

from __future__ import annotations

from typing import ClassVar

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import listing_by_state_and_name
from airflow_provider_dataflow.local.api.managed_resources import StoppableResourceApi
from airflow_provider_dataflow.local.api.request_bodies import CREATE_POOL, UPDATE_POOL
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.pool_lifecycle import PoolLifecycleState
from airflow_provider_dataflow.local.state.store import POOLS, Record


class PoolsApi(StoppableResourceApi):
    """Routes and request handlers of pools."""

    noun = "Pool"
    path = "/pools"
    ocid_type = "dataflowpool"
    kind = POOLS
    listing = listing_by_state_and_name(POOLS, PoolLifecycleState)
    fields = (
        "compartmentId", "definedTags", "description", "displayName", "freeformTags", "id",
        "lifecycleDetails", "lifecycleState", "ownerPrincipalId", "ownerUserName", "poolMetrics",
        "configurations", "schedules", "idleTimeoutInMinutes", "timeCreated", "timeUpdated",
    )  # fmt: skip
    summary_fields = (
        "compartmentId", "definedTags", "displayName", "freeformTags", "id", "lifecycleState",
        "ownerPrincipalId", "ownerUserName", "timeCreated", "timeUpdated",
    )  # fmt: skip
    create_body = CREATE_POOL
    update_body = UPDATE_POOL
    defaults: ClassVar[JSON] = {"definedTags": {}, "freeformTags": {}, "schedules": []}

    def __init__(self, context: Context) -> None:
        self.pools = context.lifecycle.pools
        super().__init__(context, self.pools)

    def shown(self, record: Record) -> JSON:
        return {**record.body, "poolMetrics": self.pools.metrics(record)}
