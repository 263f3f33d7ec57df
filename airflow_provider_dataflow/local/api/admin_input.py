"""Checks of requests to the routes below ``/_local``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from airflow_provider_dataflow.local.engines.json_fields import shown
from airflow_provider_dataflow.local.http.error_messages import as_sentence, did_you_mean
from airflow_provider_dataflow.local.http.messages import ApiError, Handler, Request, Response, Route, invalid

T = TypeVar("T")

# Query parameters of operations. Those without an entry take none.
_PARAMETERS = {
    "Journal": ("operation", "resourceId", "after"),
    "ClearFaults": ("id",),
    "Runs": ("limit", "state"),
}
_WITH_BODY = {
    "MoveClock",
    "SetRules",
    "AddRule",
    "AddFault",
    "RegisterToken",
    "MoveRun",
    "EndRun",
    "MaintainRun",
}
_EMPTY_BODIES = (b"", b"{}", b"null")


def refuse_unknown_input(route: Route) -> Handler:
    """Return the handler of a route, with a check for unknown query parameters and unexpected bodies."""
    known = _PARAMETERS.get(route.operation, ())

    def handler(request: Request, **values: str) -> Response:
        for name in request.query():
            if name not in known:
                what = f"it takes {', '.join(known)}" if known else "it takes none"
                near = did_you_mean(name, known)
                raise invalid(f"{route.operation} has no query parameter {shown(name)}; {what}.{near}")
        if route.operation not in _WITH_BODY and request.body.strip() not in _EMPTY_BODIES:
            raise invalid(f"{route.operation} takes no body.")
        return route.handler(request, **values)

    return handler


def checked(make: Callable[[], T]) -> T:
    """Call a function and convert its ValueError.

    :raises ApiError: 400, with the message of the ValueError.
    """
    try:
        return make()
    except ValueError as e:
        raise invalid(as_sentence(str(e))) from None


def json_list(request: Request) -> list[Any]:
    """Return the body of a request, which must be a JSON list.

    :raises ApiError: 400.
    """
    wrapped = Request(request.method, request.target, body=b'{"items":' + request.body + b"}")
    items = wrapped.json().get("items")
    if not isinstance(items, list) or set(wrapped.json()) != {"items"}:
        raise ApiError(400, "CannotParseRequest", "The request body is not a JSON list.")
    return items
