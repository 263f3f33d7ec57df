"""What all operations work with, and what they have in common: etags, retry tokens, pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_dataflow.local.http.messages import (
    JSON,
    ApiError,
    Principal,
    Request,
    Response,
    invalid,
    missing,
    not_found,
)
from airflow_provider_dataflow.local.state.clock import from_rfc3339, rfc3339
from airflow_provider_dataflow.local.state.ocids import ocid
from airflow_provider_dataflow.local.state.options import Options, Replay
from airflow_provider_dataflow.local.state.pool_lifecycle import nodes
from airflow_provider_dataflow.local.state.run_lifecycle import RunLifecycle
from airflow_provider_dataflow.local.state.run_logs import LogFolder
from airflow_provider_dataflow.local.state.store import (
    POOLS,
    PRIVATE_ENDPOINTS,
    Filter,
    Kind,
    Record,
    RetryToken,
    Store,
)

MAX_RETRY_TOKEN = 64
_PAGING = frozenset({"limit", "page", "sortBy", "sortOrder"})


@dataclass(frozen=True, slots=True)
class Context:
    store: Store
    lifecycle: RunLifecycle
    options: Options
    # The folder of a run's logs.
    logs: Callable[[str], LogFolder]
    # The version of the installed Spark, if there is one.
    spark_version: str | None = None


def caller(request: Request) -> Principal:
    """Who calls; known, as every operation is reached only after the verification."""
    assert request.principal is not None  # noqa: S101
    return request.principal


def load(context: Context, kind: Kind, id_: str) -> Record:
    """:raises ApiError: 404"""
    record = context.store.get(kind, id_)
    if record is None:
        raise not_found()
    return record


def load_related(context: Context, kind: Kind, id_: str) -> Record:
    """Something that the request only refers to.

    :raises ApiError: 400, if it is not there, or deleted
    """
    record = context.store.get(kind, id_)
    if record is None or record.body["lifecycleState"] == "DELETED":
        message = f"Authorization failed or the related resource {id_} was not found."
        raise ApiError(400, "RelatedResourceNotAuthorizedOrNotFound", message)
    return record


def check_related(context: Context, body: JSON) -> None:
    """What an application or a run refers to: its pool, which has to have its shapes, and its endpoint.

    :raises ApiError: 400
    """
    if body.get("poolId"):
        pool = load_related(context, POOLS, body["poolId"])
        shapes = {configuration.get("shape") for configuration in pool.body["configurations"]}
        for shape in nodes(body):
            if shape not in shapes:
                raise invalid(f"The pool {pool.body['displayName']} has no nodes of the shape {shape}.")
    if body.get("privateEndpointId"):
        load_related(context, PRIVATE_ENDPOINTS, body["privateEndpointId"])


def check_etag(request: Request, record: Record) -> None:
    """:raises ApiError: 412, if the caller has seen another state of the resource"""
    wanted = request.headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return
    if record.etag not in [tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")]:
        raise ApiError(412, "NoEtagMatch", "The resource has changed since its etag was read.")


def load_for_change(context: Context, kind: Kind, request: Request, id_: str) -> Record:
    """:raises ApiError: 404; 412, if the caller has seen another state of the resource"""
    record = load(context, kind, id_)
    check_etag(request, record)
    return record


def owned(context: Context, request: Request, resource_type: str) -> JSON:
    """What every new resource gets: its id, its owner and its times."""
    moment = rfc3339(context.lifecycle.now())
    return {
        "id": ocid(resource_type),
        "ownerPrincipalId": caller(request).user,
        "ownerUserName": "local-user",
        "timeCreated": moment,
        "timeUpdated": moment,
    }


def create_once(
    context: Context,
    kind: Kind,
    request: Request,
    create: Callable[[], Record],
) -> Record:
    """Create a resource, unless the same request, by its retry token, has created it already.

    :raises ApiError: 409, if the token belongs to a request with another body
    """
    record = _create_once(context, kind, request, create)
    request.notes["resourceId"] = record.id
    return record


def _create_once(context: Context, kind: Kind, request: Request, create: Callable[[], Record]) -> Record:
    token = request.headers.get("opc-retry-token")
    if token is None:
        return create()
    if not 1 <= len(token) <= MAX_RETRY_TOKEN:
        raise invalid(f"opc-retry-token must have 1 to {MAX_RETRY_TOKEN} characters.")
    principal = caller(request)
    scope = f"{request.method} {kind.table} {principal.tenancy}/{principal.user}"
    if "/actions/" in request.path:
        scope += request.path
    body = request.json() if request.body else {}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    now = context.lifecycle.now()
    kept = context.store.retry_token(scope, token)
    if kept is not None and now - kept.moment < context.options.retry_token_seconds:
        record = context.store.get(kind, kept.resource_id)
        if kept.digest != digest or record is None or context.options.replay == Replay.CONFLICT:
            message = "The retry token was used before, and is no longer valid."
            raise ApiError(409, "InvalidatedRetryToken", message)
        request.notes["replayed"] = True
        return record
    with context.store.transaction():
        record = create()
        context.store.keep_retry_token(scope, token, RetryToken(digest, record.id, now))
    return record


def replayed_action(
    context: Context,
    kind: Kind,
    request: Request,
    resource_id: str,
    act: Callable[[Request, str], tuple[Record, str]],
) -> Response:
    """An action that answers with a work request: once, however often it is sent with one retry token."""
    works: list[str] = []

    def once() -> Record:
        record, work_request = act(request, resource_id)
        works.append(work_request)
        record.internal["lastWorkRequest"] = work_request
        context.store.update_internal(kind, record)
        return record

    record = create_once(context, kind, request, once)
    return accepted(record, works[0] if works else record.internal["lastWorkRequest"])


def page_of(context: Context, query: Mapping[str, str], items: list[JSON]) -> tuple[list[JSON], str | None]:
    """A page of what is no table; the token is the number of its first item."""
    limit = paging_limit(context, query)
    start = query.get("page", "0")
    if not (start.isascii() and start.isdigit() and len(start) < 9):
        raise invalid("The page token is invalid.")
    end = int(start) + limit
    return items[int(start) : end], str(end) if end < len(items) else None


def paging_limit(context: Context, query: Mapping[str, str]) -> int:
    text = query.get("limit")
    if text is None:
        return min(context.options.default_page, context.options.max_page)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= context.options.max_page:
        raise invalid(f"limit must be an integer from 1 to {context.options.max_page}.")
    return int(text)


@dataclass(frozen=True, slots=True)
class Listing:
    """How resources of a kind may be listed: by which filters and in which orders."""

    kind: Kind
    # Parameter of the query -> column and operator.
    filters: Mapping[str, tuple[str, str]]
    # Value of sortBy -> column.
    sorts: Mapping[str, str]
    # "Only one parameter other than compartmentId may also be included in a query."
    one_filter: bool = True
    in_compartment: bool = True
    # Parameter of the query -> its values, where these are known.
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Holds for whatever is listed.
    always: tuple[Filter, ...] = ()

    def page(
        self, context: Context, query: Mapping[str, str], *also: Filter
    ) -> tuple[list[Record], str | None]:
        """:raises ApiError: 400"""
        known = set(self.filters) | _PAGING | ({"compartmentId"} if self.in_compartment else set())
        unknown = sorted(set(query) - known)
        if unknown:
            raise invalid(f"Unknown query parameter {unknown[0]}.")
        if self.in_compartment and not query.get("compartmentId"):
            raise missing("compartmentId is required.")
        given = [name for name in self.filters if name in query]
        if self.one_filter and len(given) > 1:
            raise invalid(f"Only one filter beside compartmentId is allowed, not {' and '.join(given)}.")
        filters = [*also, *self.always]
        if self.in_compartment:
            filters.append(Filter("compartment_id", "=", query["compartmentId"]))
        for name in given:
            column, operator = self.filters[name]
            if name in self.values and query[name] not in self.values[name]:
                raise invalid(f"{name} must be one of {', '.join(self.values[name])}.")
            filters.append(Filter(column, operator, self._value(name, query[name])))
        sort_by = query.get("sortBy", "timeCreated")
        if sort_by not in self.sorts:
            raise invalid(f"sortBy must be one of {', '.join(self.sorts)}.")
        order = query.get("sortOrder", "DESC" if sort_by == "timeCreated" else "ASC").upper()
        if order not in ("ASC", "DESC"):
            raise invalid("sortOrder must be ASC or DESC.")
        limit = paging_limit(context, query)
        column = self.sorts[sort_by]
        return context.store.page(self.kind, filters, column, order == "DESC", limit, query.get("page"))

    @staticmethod
    def _value(name: str, value: str) -> str:
        if not name.startswith("time"):
            return value
        try:
            # A "+" that was not quoted arrives as a blank.
            return rfc3339(from_rfc3339(value.replace(" ", "+") if "T" in value else value))
        except (ValueError, OverflowError):
            raise invalid(f"{name} is not a valid time.") from None


def accepted(record: Record, work_request: str, body: JSON | None = None) -> Response:
    """The answer to what takes its time."""
    headers = {"etag": record.etag, "opc-work-request-id": work_request}
    return Response(202, headers) if body is None else Response.of_json(body, 202, headers)


def listing_by_state_and_name(kind: Kind, states: Iterable[str]) -> Listing:
    """How pools and private endpoints are listed."""
    filters = {
        "lifecycleState": ("state", "="),
        "displayName": ("display_name", "="),
        "ownerPrincipalId": ("owner", "="),
        "displayNameStartsWith": ("display_name", "prefix"),
    }
    sorts = {"timeCreated": "time_created"}
    return Listing(kind, filters=filters, sorts=sorts, values={"lifecycleState": tuple(states)})


def page_headers(next_page: str | None) -> dict[str, str]:
    return {} if next_page is None else {"opc-next-page": next_page}


def collection(bodies: Iterable[JSON], next_page: str | None, fields: Sequence[str]) -> Response:
    """The answer of a list that is no bare array: of each, these fields."""
    items = [{name: body[name] for name in fields} for body in bodies]
    return Response.of_json({"items": items}, headers=page_headers(next_page))


def resource(record: Record, body: JSON) -> Response:
    """The answer of a create, get or update."""
    return Response.of_json(body, headers={"etag": record.etag})
