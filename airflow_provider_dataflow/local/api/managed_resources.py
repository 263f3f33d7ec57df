"""Operations of the resources whose changes take time and have work requests: pools, endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import Listing
from airflow_provider_dataflow.local.api.request_bodies import CHANGE_COMPARTMENT, BodySchema
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
from airflow_provider_dataflow.local.state.store import Record, ResourceKind


class ManagedLifecycle(Protocol):
    """Changes of a resource. Each begins a work request and returns its id.

    ``path`` is the path of the resource below the API version. ``verb`` is the operation of the work request.
    """

    def create(self, record: Record, path: str) -> str: ...
    def update(self, record: Record, details: JSON, path: str, verb: str = "UPDATE") -> str: ...
    def delete(self, record: Record, path: str) -> str: ...


class StoppableLifecycle(ManagedLifecycle, Protocol):
    def start(self, record: Record, path: str) -> str: ...
    def stop(self, record: Record, path: str) -> str: ...


class ManagedResourceApi:
    """Routes and request handlers of one kind of resource."""

    #: Name of the resource in operations, for example ``Pool`` in ``CreatePool``.
    noun: ClassVar[str]
    #: Path of the collection, for example ``/pools``.
    path: ClassVar[str]
    #: Type of the resource in its OCID.
    ocid_type: ClassVar[str]
    kind: ClassVar[ResourceKind]
    listing: ClassVar[Listing]
    fields: ClassVar[Sequence[str]]
    summary_fields: ClassVar[Sequence[str]]
    create_body: ClassVar[BodySchema]
    update_body: ClassVar[BodySchema]
    #: Values of a new resource that the request does not set.
    defaults: ClassVar[JSON] = {"definedTags": {}, "freeformTags": {}}

    def __init__(self, context: Context, lifecycle: ManagedLifecycle) -> None:
        self.context = context
        self.lifecycle = lifecycle

    def routes(self) -> Iterator[Route]:
        one = f"{self.path}/{{resource_id}}"
        yield Route(f"Create{self.noun}", "POST", self.path, self.create)
        yield Route(f"List{self.noun}s", "GET", self.path, self.list_page)
        yield Route(f"Get{self.noun}", "GET", one, self.get)
        yield Route(f"Update{self.noun}", "PUT", one, self.update)
        yield Route(f"Delete{self.noun}", "DELETE", one, self.delete)
        yield Route(f"Change{self.noun}Compartment", "POST", f"{one}/actions/changeCompartment", self.move)

    def create(self, request: Request) -> Response:
        details = self.create_body.read(request)
        record = create_once(self.context, self.kind, request, lambda: self._create(request, details))
        return accepted(record, record.internal["created"], self.shown(record))

    def _create(self, request: Request, details: JSON) -> Record:
        body: JSON = dict.fromkeys(self.fields)
        body.update(self.defaults)
        body.update(self.prepared(details))
        body.update(identity_fields(self.context, request, self.ocid_type))
        self.complete(body)
        record = Record(body)
        with self.context.store.transaction():
            # Work request id, which a repeated create returns again.
            record.internal["created"] = self.lifecycle.create(record, self._path(record))
            self.context.store.update_internal(self.kind, record)
        return record

    def prepared(self, details: JSON) -> JSON:
        """Return the fields of a create or update as the service stores them."""
        return details

    def complete(self, body: JSON) -> None:
        """Set the fields of a new resource that the service derives from others."""

    def shown(self, record: Record) -> JSON:
        """Return the body of a resource as clients see it."""
        return record.body

    def list_page(self, request: Request) -> Response:
        records, next_page = self.listing.page(self.context, request.query())
        return collection((r.body for r in records), next_page, self.summary_fields)

    def get(self, request: Request, resource_id: str) -> Response:
        record = load(self.context, self.kind, resource_id)
        return resource(record, self.shown(record))

    def update(self, request: Request, resource_id: str) -> Response:
        details = self.update_body.read(request)
        record = load_for_change(self.context, self.kind, request, resource_id)
        return accepted(record, self.lifecycle.update(record, self.prepared(details), self._path(record)))

    def delete(self, request: Request, resource_id: str) -> Response:
        record = load_for_change(self.context, self.kind, request, resource_id)
        return accepted(record, self.lifecycle.delete(record, self._path(record)))

    def move(self, request: Request, resource_id: str) -> Response:
        # Refuse an invalid body before the retry token is compared.
        CHANGE_COMPARTMENT.read(request)
        return act_once(self.context, self.kind, request, resource_id, self._move)

    def _move(self, request: Request, resource_id: str) -> tuple[Record, str]:
        record = load_for_change(self.context, self.kind, request, resource_id)
        details = CHANGE_COMPARTMENT.read(request)
        return record, self.lifecycle.update(record, details, self._path(record), "MOVE")

    def _path(self, record: Record) -> str:
        return f"{self.path}/{record.id}"


class StoppableResourceApi(ManagedResourceApi):
    """As :class:`ManagedResourceApi`, with the operations that start and stop the resource."""

    def __init__(self, context: Context, lifecycle: StoppableLifecycle) -> None:
        super().__init__(context, lifecycle)
        self.stoppable = lifecycle

    def routes(self) -> Iterator[Route]:
        yield from super().routes()
        actions = f"{self.path}/{{resource_id}}/actions"
        yield Route(f"Start{self.noun}", "POST", f"{actions}/start", self.start)
        yield Route(f"Stop{self.noun}", "POST", f"{actions}/stop", self.stop)

    def start(self, request: Request, resource_id: str) -> Response:
        return act_once(self.context, self.kind, request, resource_id, self._start)

    def _start(self, request: Request, resource_id: str) -> tuple[Record, str]:
        record = load_for_change(self.context, self.kind, request, resource_id)
        return record, self.stoppable.start(record, self._path(record))

    def stop(self, request: Request, resource_id: str) -> Response:
        return act_once(self.context, self.kind, request, resource_id, self._stop)

    def _stop(self, request: Request, resource_id: str) -> tuple[Record, str]:
        record = load_for_change(self.context, self.kind, request, resource_id)
        return record, self.stoppable.stop(record, self._path(record))
