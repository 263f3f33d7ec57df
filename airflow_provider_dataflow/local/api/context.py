"""What all operations work with, and what they have in common: etags, retry tokens, pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_dataflow.local.clock import from_rfc3339, rfc3339
from airflow_provider_dataflow.local.http import (
    JSON,
    ApiError,
    Principal,
    Request,
    Response,
    invalid,
    missing,
    not_found,
)
from airflow_provider_dataflow.local.lifecycle import Lifecycle
from airflow_provider_dataflow.local.logs import LogFolder
from airflow_provider_dataflow.local.options import Options
from airflow_provider_dataflow.local.store import Filter, Kind, Record, RetryToken, Store

MAX_RETRY_TOKEN = 64
_PAGING = frozenset({"limit", "page", "sortBy", "sortOrder"})


@dataclass(frozen=True, slots=True)
class Context:
    store: Store
    lifecycle: Lifecycle
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


def check_etag(request: Request, record: Record) -> None:
    """:raises ApiError: 412, if the caller has seen another state of the resource"""
    wanted = request.headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return
    if record.etag not in [tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")]:
        raise ApiError(412, "NoEtagMatch", "The resource has changed since its etag was read.")


def create_once(
    context: Context,
    kind: Kind,
    request: Request,
    create: Callable[[], Record],
) -> Record:
    """Create a resource, unless the same request, by its retry token, has created it already.

    :raises ApiError: 409, if the token belongs to a request with another body
    """
    token = request.headers.get("opc-retry-token")
    if token is None:
        return create()
    if not 1 <= len(token) <= MAX_RETRY_TOKEN:
        raise invalid(f"opc-retry-token must have 1 to {MAX_RETRY_TOKEN} characters.")
    principal = caller(request)
    scope = f"{request.method} {kind.table} {principal.tenancy}/{principal.user}"
    canonical = json.dumps(request.json(), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    now = context.lifecycle.now()
    kept = context.store.retry_token(scope, token)
    if kept is not None and now - kept.moment < context.options.retry_token_seconds:
        record = context.store.get(kind, kept.resource_id)
        if kept.digest != digest or record is None:
            message = "The retry token was used with another request, or what that created is gone."
            raise ApiError(409, "InvalidatedRetryToken", message)
        request.notes["replayed"] = True
        return record
    with context.store.transaction():
        record = create()
        context.store.keep_retry_token(scope, token, RetryToken(digest, record.id, now))
    return record


def paging_limit(context: Context, query: Mapping[str, str]) -> int:
    text = query.get("limit")
    if text is None:
        return context.options.default_page
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
    # Holds for whatever is listed.
    always: tuple[Filter, ...] = ()

    def page(self, context: Context, query: Mapping[str, str]) -> tuple[list[Record], str | None]:
        """:raises ApiError: 400"""
        unknown = sorted(set(query) - set(self.filters) - _PAGING - {"compartmentId"})
        if unknown:
            raise invalid(f"Unknown query parameter {unknown[0]}.")
        if not query.get("compartmentId"):
            raise missing("compartmentId is required.")
        given = [name for name in self.filters if name in query]
        if self.one_filter and len(given) > 1:
            raise invalid(f"Only one filter beside compartmentId is allowed, not {' and '.join(given)}.")
        filters = [Filter("compartment_id", "=", query["compartmentId"]), *self.always]
        for name in given:
            column, operator = self.filters[name]
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


def page_headers(next_page: str | None) -> dict[str, str]:
    return {} if next_page is None else {"opc-next-page": next_page}


def resource(record: Record, body: JSON) -> Response:
    """The answer of a create, get or update."""
    return Response.of_json(body, headers={"etag": record.etag})
