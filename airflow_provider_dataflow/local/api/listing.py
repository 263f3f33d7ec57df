"""List operations: filters, order and pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.field_checks import integer_of
from airflow_provider_dataflow.local.http.messages import JSON, invalid, missing
from airflow_provider_dataflow.local.state.clock import from_rfc3339, rfc3339
from airflow_provider_dataflow.local.state.store import Filter, Record, ResourceKind

_PAGING = frozenset({"limit", "page", "sortBy", "sortOrder"})


def page_of(context: Context, query: Mapping[str, str], items: list[JSON]) -> tuple[list[JSON], str | None]:
    """Return a page of a list in memory, and the token of the next page: the index of its first item."""
    limit = page_size(context, query)
    start = query.get("page", "0")
    if not (start.isascii() and start.isdigit() and len(start) < 9):
        raise invalid("The page token is invalid.")
    end = int(start) + limit
    return items[int(start) : end], str(end) if end < len(items) else None


def page_size(context: Context, query: Mapping[str, str]) -> int:
    """Return the page size: ``limit`` of the query, or the default.

    :raises ApiError: 400, the limit is invalid.
    """
    text = query.get("limit")
    if text is None:
        return min(context.options.default_page, context.options.max_page)
    limit = integer_of(text, 1, context.options.max_page)
    if limit is None:
        raise invalid(f"limit must be an integer from 1 to {context.options.max_page}.")
    return limit


@dataclass(frozen=True, slots=True)
class Listing:
    """List operation of a kind of resource: its filters and orders."""

    kind: ResourceKind
    # Column and operator of each query parameter.
    filters: Mapping[str, tuple[str, str]]
    # Column of each value of sortBy.
    sorts: Mapping[str, str]
    # The API reference: "Only one parameter other than compartmentId may also be included in a query."
    one_filter: bool = True
    in_compartment: bool = True
    # Allowed values of query parameters.
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Filters of every request.
    always: tuple[Filter, ...] = ()

    def page(
        self, context: Context, query: Mapping[str, str], *also: Filter
    ) -> tuple[list[Record], str | None]:
        """Return a page of records, and the token of the next page.

        :param also: more filters.
        :raises ApiError: 400, a query parameter is unknown, missing or invalid.
        """
        known = set(self.filters) | _PAGING | ({"compartmentId"} if self.in_compartment else set())
        unknown = sorted(set(query) - known)
        if unknown:
            raise invalid(f"Unknown query parameter {unknown[0]}.")
        if self.in_compartment and not query.get("compartmentId"):
            raise missing("compartmentId is required.")
        given = [name for name in self.filters if name in query]
        if self.one_filter and len(given) > 1:
            raise invalid(
                f"Only one filter in addition to compartmentId is allowed, not {' and '.join(given)}."
            )
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
        limit = page_size(context, query)
        column = self.sorts[sort_by]
        return context.store.page(self.kind, filters, column, order == "DESC", limit, query.get("page"))

    @staticmethod
    def _value(name: str, value: str) -> str:
        if not name.startswith("time"):
            return value
        try:
            # An unquoted "+" of a time zone arrives as a blank.
            return rfc3339(from_rfc3339(value.replace(" ", "+") if "T" in value else value))
        except (ValueError, OverflowError):
            raise invalid(f"{name} is not a valid time.") from None


def listing_by_state_and_name(kind: ResourceKind, states: Iterable[str]) -> Listing:
    """Return the list operation of pools or private endpoints."""
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
