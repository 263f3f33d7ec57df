"""Loading and checking of resources, and responses that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import page_headers
from airflow_provider_dataflow.local.http.messages import (
    JSON,
    ApiError,
    Principal,
    Request,
    Response,
    invalid,
    not_found,
)
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.ocids import ocid
from airflow_provider_dataflow.local.state.pool_lifecycle import needed_nodes
from airflow_provider_dataflow.local.state.store import POOLS, PRIVATE_ENDPOINTS, Record, ResourceKind


def caller(request: Request) -> Principal:
    """Return the user who sent a request; the verification of the signature has set it."""
    assert request.principal is not None  # noqa: S101
    return request.principal


def load(context: Context, kind: ResourceKind, id_: str) -> Record:
    """Return a resource.

    :raises ApiError: 404, it does not exist.
    """
    record = context.store.get(kind, id_)
    if record is None:
        raise not_found()
    return record


def load_related(context: Context, kind: ResourceKind, id_: str) -> Record:
    """Return a resource to which a request refers in its body.

    :raises ApiError: 400, it does not exist or is deleted.
    """
    record = context.store.get(kind, id_)
    if record is None or record.body["lifecycleState"] == "DELETED":
        raise related_not_found(id_)
    return record


def related_not_found(id_: str) -> ApiError:
    """Return the error for a missing or forbidden resource to which a request refers in its body."""
    message = f"Authorization failed or the related resource {id_} was not found."
    return ApiError(400, "RelatedResourceNotAuthorizedOrNotFound", message)


def check_related(context: Context, body: JSON) -> None:
    """Check the pool and the private endpoint of an application or run.

    :raises ApiError: 400, one of them does not exist, or the pool has no nodes of a required shape.
    """
    if body.get("poolId"):
        pool = load_related(context, POOLS, body["poolId"])
        shapes = {configuration.get("shape") for configuration in pool.body["configurations"]}
        for shape in needed_nodes(body):
            if shape not in shapes:
                raise invalid(f"The pool {pool.body['displayName']} has no nodes of the shape {shape}.")
    if body.get("privateEndpointId"):
        load_related(context, PRIVATE_ENDPOINTS, body["privateEndpointId"])


def check_etag(request: Request, record: Record) -> None:
    """Check that the ``if-match`` header of a request, if any, is the current etag.

    :raises ApiError: 412, the resource has changed since the caller read it.
    """
    wanted = request.headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return
    if record.etag not in [tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")]:
        raise ApiError(412, "NoEtagMatch", "The resource has changed since its etag was read.")


def load_for_change(context: Context, kind: ResourceKind, request: Request, id_: str) -> Record:
    """Return a resource whose etag matches the request.

    :raises ApiError: 404, it does not exist; 412, it has changed since the caller read it.
    """
    record = load(context, kind, id_)
    check_etag(request, record)
    return record


def identity_fields(context: Context, request: Request, resource_type: str) -> JSON:
    """Return the fields of a new resource that the service sets: id, owner and times."""
    moment = rfc3339(context.lifecycle.now())
    return {
        "id": ocid(resource_type),
        "ownerPrincipalId": caller(request).user,
        "ownerUserName": "local-user",
        "timeCreated": moment,
        "timeUpdated": moment,
    }


def accepted(record: Record, work_request: str, body: JSON | None = None) -> Response:
    """Return the 202 response that carries the work request id."""
    headers = {"etag": record.etag, "opc-work-request-id": work_request}
    return Response(202, headers) if body is None else Response.of_json(body, 202, headers)


def collection(bodies: Iterable[JSON], next_page: str | None, fields: Sequence[str]) -> Response:
    """Return the response of a list operation as an object with ``items``, each with only these fields."""
    items = [{name: body[name] for name in fields} for body in bodies]
    return Response.of_json({"items": items}, headers=page_headers(next_page))


def resource(record: Record, body: JSON) -> Response:
    """Return the response of a create, get or update."""
    return Response.of_json(body, headers={"etag": record.etag})
