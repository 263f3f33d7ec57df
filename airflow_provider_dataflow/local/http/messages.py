"""Requests and responses without a web framework, and the table that routes them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

JSON = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
# Of a request's body; what the API knows needs four.
MAX_DEPTH = 32


class ApiError(Exception):
    """An answer of the service that is not a success: ``{"code": ..., "message": ...}``."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def response(self) -> Response:
        return Response.of_json({"code": self.code, "message": self.message}, self.status, self.headers)


def invalid(message: str) -> ApiError:
    return ApiError(400, "InvalidParameter", message)


def missing(message: str) -> ApiError:
    return ApiError(400, "MissingParameter", message)


def not_found() -> ApiError:
    """Nothing there, or not allowed to see it: the service does not say which."""
    message = "Authorization failed or requested resource not found."
    return ApiError(404, "NotAuthorizedOrNotFound", message)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed a request."""

    tenancy: str
    user: str


@dataclass(slots=True)
class Request:
    """``target`` is the path with its query exactly as sent, as that is what was signed."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    principal: Principal | None = None
    # What a handler wants to have in the journal.
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def query(self) -> dict[str, str]:
        """The query's parameters.

        :raises ApiError: one is given twice
        """
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise invalid("A query parameter is given more than once.")
        return query

    def json(self) -> JSON:
        """:raises ApiError: the body is not a JSON object, or one that could not be stored and shown again"""
        try:
            # Not by way of json.loads: that takes other encodings, and what is no valid UTF-8.
            text = self.body.decode("utf-8-sig")
            body = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            raise _unparsable("The request body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise _unparsable("The request body is not a JSON object.")
        if text.count("[") + text.count("{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
            raise _unparsable(f"The request body is nested more than {MAX_DEPTH} levels deep.")
        if "\\u" in text:
            # Escapes can say what neither UTF-8 nor the command line of a process can carry.
            try:
                carried = json.dumps(body, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                carried = b"\\u0000"
            if b"\\u0000" in carried:
                raise _unparsable("A string holds a character that is not allowed.")
        return body


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer gets to its client, where that is not at once and in full; in real seconds.

    :param drop: not at all: the connection is closed
    :param late: what makes the answer, after the delay; it is told whether the client is still there
    :param truncate: the connection is closed after ``body_bytes``, or after half of the body
    """

    drop: bool = False
    delay: float = 0.0
    late: Callable[[bool], Response] | None = None
    body_seconds: float = 0.0
    truncate: bool = False
    body_bytes: int | None = None


@dataclass(slots=True)
class Response:
    """``body`` may be an iterator, which is then drained outside of the service's lock and event loop."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""
    delivery: Delivery | None = None

    @classmethod
    def of_json(cls, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        text = _encode(body)
        # A lone surrogate is valid in JSON's escapes, but not in UTF-8.
        data = text.encode("utf-8", "replace")
        return cls(status, {"content-type": "application/json", **(headers or {})}, data)

    def content(self) -> bytes:
        """The whole body (for callers without a network in between)."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


def _unparsable(message: str) -> ApiError:
    return ApiError(400, "CannotParseRequest", message)


def _no_constant(name: str) -> None:
    """NaN and Infinity, which Python reads, but JSON does not have."""
    raise ValueError(name)


def _finite(text: str) -> float:
    """``1e999`` is JSON, but is read as infinity, which could not be written again."""
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
    """``path`` names its variable segments in braces; a handler gets them as keyword arguments."""

    operation: str
    method: str
    path: str
    handler: Handler


def split_path(path: str) -> list[str]:
    """The unquoted segments. Repeated slashes count as one, as some clients begin with two."""
    return [unquote(segment) for segment in path.split("/") if segment]


class Router:
    def __init__(self, routes: Iterable[Route]) -> None:
        # By the number of segments and the first one, which is never a variable.
        self._routes: dict[tuple[int, str], list[tuple[list[str], Route]]] = {}
        for route in routes:
            segments = split_path(route.path)
            key = len(segments), segments[0] if segments else ""
            self._routes.setdefault(key, []).append((segments, route))

    def find(self, method: str, segments: list[str]) -> tuple[Route, dict[str, str]]:
        """The route and the values of its variable segments.

        :raises ApiError: 404 for an unknown path, 405 for a known one with another method
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
