"""Operations of pools."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import listing_by_state_and_name
from airflow_provider_dataflow.local.api.request_bodies import CHANGE_COMPARTMENT, CREATE_POOL, UPDATE_POOL
from airflow_provider_dataflow.local.api.resources import (
    accepted,
    collection,
    identity_fields,
    load,
    load_for_change,
    resource,
)
from airflow_provider_dataflow.local.api.retry_tokens import act_once, create_once
from airflow_provider_dataflow.local.http.messages import JSON, Request, Response, Route
from airflow_provider_dataflow.local.state.pool_lifecycle import PoolLifecycleState
from airflow_provider_dataflow.local.state.store import POOLS, Record

FIELDS = (
    "compartmentId", "definedTags", "description", "displayName", "freeformTags", "id", "lifecycleDetails",
    "lifecycleState", "ownerPrincipalId", "ownerUserName", "poolMetrics", "configurations", "schedules",
    "idleTimeoutInMinutes", "timeCreated", "timeUpdated",
)  # fmt: skip
SUMMARY_FIELDS = (
    "compartmentId", "definedTags", "displayName", "freeformTags", "id", "lifecycleState",
    "ownerPrincipalId", "ownerUserName", "timeCreated", "timeUpdated",
)  # fmt: skip

LISTING = listing_by_state_and_name(POOLS, PoolLifecycleState)


class PoolsApi:
    """Routes and request handlers of pools."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.pools = context.lifecycle.pools

    def routes(self) -> Iterator[Route]:
        one = "/pools/{pool_id}"
        yield Route("CreatePool", "POST", "/pools", self.create)
        yield Route("ListPools", "GET", "/pools", self.list_page)
        yield Route("GetPool", "GET", one, self.get)
        yield Route("UpdatePool", "PUT", one, self.update)
        yield Route("DeletePool", "DELETE", one, self.delete)
        yield Route("StartPool", "POST", f"{one}/actions/start", self.start)
        yield Route("StopPool", "POST", f"{one}/actions/stop", self.stop)
        yield Route("ChangePoolCompartment", "POST", f"{one}/actions/changeCompartment", self.move)

    def create(self, request: Request) -> Response:
        details = CREATE_POOL.read(request)
        record = create_once(self.context, POOLS, request, lambda: self._create(request, details))
        return accepted(record, record.internal["created"], self._body(record))

    def _create(self, request: Request, details: JSON) -> Record:
        body: JSON = dict.fromkeys(FIELDS)
        body.update(definedTags={}, freeformTags={}, schedules=[])
        body.update(details)
        body.update(identity_fields(self.context, request, "dataflowpool"))
        record = Record(body)
        with self.context.store.transaction():
            # Work request id, which a repeated create returns again.
            record.internal["created"] = self.pools.create(record, _path(record))
            self.context.store.update_internal(POOLS, record)
        return record

    def _body(self, record: Record) -> JSON:
        return {**record.body, "poolMetrics": self.pools.metrics(record)}

    def list_page(self, request: Request) -> Response:
        records, next_page = LISTING.page(self.context, request.query())
        return collection((r.body for r in records), next_page, SUMMARY_FIELDS)

    def get(self, request: Request, pool_id: str) -> Response:
        record = load(self.context, POOLS, pool_id)
        return resource(record, self._body(record))

    def update(self, request: Request, pool_id: str) -> Response:
        details = UPDATE_POOL.read(request)
        record = load_for_change(self.context, POOLS, request, pool_id)
        return accepted(record, self.pools.update(record, details, _path(record)))

    def delete(self, request: Request, pool_id: str) -> Response:
        record = load_for_change(self.context, POOLS, request, pool_id)
        return accepted(record, self.pools.delete(record, _path(record)))

    def start(self, request: Request, pool_id: str) -> Response:
        return act_once(self.context, POOLS, request, pool_id, self._start)

    def _start(self, request: Request, pool_id: str) -> tuple[Record, str]:
        record = load_for_change(self.context, POOLS, request, pool_id)
        return record, self.pools.start(record, _path(record))

    def stop(self, request: Request, pool_id: str) -> Response:
        return act_once(self.context, POOLS, request, pool_id, self._stop)

    def _stop(self, request: Request, pool_id: str) -> tuple[Record, str]:
        record = load_for_change(self.context, POOLS, request, pool_id)
        return record, self.pools.stop(record, _path(record))

    def move(self, request: Request, pool_id: str) -> Response:
        # Refuse an invalid body before the retry token is compared.
        CHANGE_COMPARTMENT.read(request)
        return act_once(self.context, POOLS, request, pool_id, self._move)

    def _move(self, request: Request, pool_id: str) -> tuple[Record, str]:
        record = load_for_change(self.context, POOLS, request, pool_id)
        details = CHANGE_COMPARTMENT.read(request)
        return record, self.pools.update(record, details, _path(record), "MOVE_POOL")


def _path(record: Record) -> str:
    return f"/pools/{record.id}"
