"""Requests, responses, API errors and the router; no web framework is involved."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from airflow_provider_dataflow.local.http.incoming_body import IncomingBody

JSON = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
# Nesting of a request's body. The API's own bodies need four levels.
MAX_DEPTH = 32


class ApiError(Exception):
    """Error response of the API: ``{"code": ..., "message": ...}``."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """Return the response, with additional headers."""
        body = {"code": self.code, "message": self.message}
        return Response.of_json(body, self.status, {**(self.headers or {}), **(headers or {})})


def invalid(message: str) -> ApiError:
    return ApiError(400, "InvalidParameter", message)


def missing(message: str) -> ApiError:
    return ApiError(400, "MissingParameter", message)


def not_found() -> ApiError:
    """Return the 404 for a missing or a forbidden resource; the real service does not tell them apart."""
    message = "Authorization failed or requested resource not found."
    return ApiError(404, "NotAuthorizedOrNotFound", message)


@dataclass(frozen=True, slots=True)
class Principal:
    """Tenancy and user that signed a request."""

    tenancy: str
    user: str


@dataclass(slots=True)
class Request:
    """HTTP request.

    :param target: path and query exactly as sent, because these bytes were signed
    :param upload: body in a file, of an operation whose body may be large; ``body`` is empty then
    :param notes: facts that handlers add for the journal
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    upload: IncomingBody | None = None
    principal: Principal | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def query(self) -> dict[str, str]:
        """Return the parameters of the query.

        :raises ApiError: a parameter is given twice
        """
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise invalid("A query parameter is given more than once.")
        return query

    def json(self) -> JSON:
        """Return the body.

        :raises ApiError: it is not a JSON object, or contains values that cannot be stored and returned
        """
        try:
            # Decode first: json.loads(bytes) would also accept UTF-16 and invalid UTF-8.
            text = self.body.decode("utf-8-sig")
            body = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            raise _unparsable("The request body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise _unparsable("The request body is not a JSON object.")
        if text.count("[") + text.count("{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
            raise _unparsable(f"The request body is nested more than {MAX_DEPTH} levels deep.")
        if "\\u" in text:
            # Escapes can hold lone surrogates and NUL, which UTF-8 or the arguments of a process cannot.
            try:
                encoded = json.dumps(body, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                encoded = b"\\u0000"
            if b"\\u0000" in encoded:
                raise _unparsable("A string holds a character that is not allowed.")
        return body


@dataclass(frozen=True, slots=True)
class ResponseFault:
    """Fault in the sending of a response. Times are real seconds, whatever clock the service has.

    :param drop: close the connection without a response
    :param delay_seconds: send the response this much later
    :param handle_late: handler that is called after the delay, instead of before it; its argument says
        whether the client is still connected
    :param body_seconds: spread the body over this time
    :param truncate: close the connection after ``body_bytes`` of the body
    :param body_bytes: ``None``: half of the body
    """

    drop: bool = False
    delay_seconds: float = 0.0
    handle_late: Callable[[bool], Response] | None = None
    body_seconds: float = 0.0
    truncate: bool = False
    body_bytes: int | None = None


@dataclass(slots=True)
class Response:
    """HTTP response.

    :param body: an iterator is read after the service's lock is released, and outside of the event loop
    :param fault: fault to apply when the response is sent
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""
    fault: ResponseFault | None = None

    @classmethod
    def of_json(cls, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        text = _encode(body)
        # Lone surrogates, which UTF-8 does not have, become question marks.
        data = text.encode("utf-8", "replace")
        return cls(status, {"content-type": "application/json", **(headers or {})}, data)

    def content(self) -> bytes:
        """Return the whole body; an iterator is read to its end."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


def _unparsable(message: str) -> ApiError:
    return ApiError(400, "CannotParseRequest", message)


def _no_constant(name: str) -> None:
    """Reject NaN and Infinity, which Python reads although JSON does not have them."""
    raise ValueError(name)


def _finite(text: str) -> float:
    """Reject numbers such as ``1e999``, which Python reads as infinity and could not write as JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _depth(body: JSON) -> int:
    depth = 0
    level: list[Any] = [body]
    while level:
        depth += 1
        inner = [i for x in level for i in (x.values() if isinstance(x, dict) else x)]
        level = [i for i in inner if isinstance(i, dict | list)]
    return depth


Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """Operation and its handler.

    :param path: variable segments are in braces, as in ``/runs/{run_id}``; the handler gets them as keyword
        arguments
    :param open_upload: for an operation whose body may be large: called with the arguments of the handler
        before the body is read. Returns where to write it, or raises what the handler would raise. The
        body of such an operation is not signed.
    """

    operation: str
    method: str
    path: str
    handler: Handler
    open_upload: Callable[..., IncomingBody] | None = None


def split_path(path: str) -> list[str]:
    """Return the unquoted segments. Repeated slashes count as one, because some clients start with two."""
    return [unquote(segment) for segment in path.split("/") if segment]


class Router:
    """Table of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        # Keyed by the number of segments and the first segment, which is never variable.
        self._routes: dict[tuple[int, str], list[tuple[list[str], Route]]] = {}
        for route in routes:
            segments = split_path(route.path)
            key = len(segments), segments[0] if segments else ""
            self._routes.setdefault(key, []).append((segments, route))

    def find(self, method: str, segments: list[str]) -> tuple[Route, dict[str, str]]:
        """Return the route and the values of its variable segments.

        :param segments: see :func:`split_path`

        :raises ApiError: 404 for an unknown path, 405 for a known path with another method
        """
        allowed = []
        for pattern, route in self._routes.get((len(segments), segments[0] if segments else ""), ()):
            values = {}
            for expected, actual in zip(pattern, segments, strict=True):
                if expected[0] == "{":
                    values[expected[1:-1]] = actual
                elif expected != actual:
                    break
            else:
                if route.method == method:
                    return route, values
                allowed.append(route.method)
        if allowed:
            message = f"{method} is not allowed on this resource."
            raise ApiError(405, "MethodNotAllowed", message, {"allow": ", ".join(allowed)})
        raise ApiError(404, "NotFound", "There is no such operation.")
