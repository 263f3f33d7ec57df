"""Requests and responses without a web framework, and the table that routes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

JSON = dict[str, Any]


class ApiError(Exception):
    """An answer of the service that is not a success: ``{"code": ..., "message": ...}``."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> Response:
        return Response.of_json({"code": self.code, "message": self.message}, status=self.status)


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
        """:raises ApiError: the body is not a JSON object"""
        try:
            body = json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ApiError(400, "CannotParseRequest", "The request body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise ApiError(400, "CannotParseRequest", "The request body is not a JSON object.")
        if b"\\u" in self.body:
            # Escapes can say what neither UTF-8 nor the command line of a process can carry.
            try:
                text = json.dumps(body, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                text = b"\\u0000"
            if b"\\u0000" in text:
                raise ApiError(400, "CannotParseRequest", "A string holds a character that is not allowed.")
        return body


@dataclass(slots=True)
class Response:
    """``body`` may be an iterator, which is then drained outside of the service's lock and event loop."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""

    @classmethod
    def of_json(cls, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        # A lone surrogate is valid in JSON's escapes, but not in UTF-8.
        data = text.encode("utf-8", "replace")
        return cls(status, {"content-type": "application/json", **(headers or {})}, data)

    @classmethod
    def of_html(cls, text: str, status: int = 200) -> Response:
        headers = {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-store",
            "content-security-policy": (
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'"
            ),
        }
        return cls(status, headers, text.encode())

    def content(self) -> bytes:
        """The whole body (for callers without a network in between)."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


def _no_constant(name: str) -> None:
    """NaN and Infinity, which Python reads, but JSON does not have."""
    raise ValueError(name)


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
        self._by_length: dict[int, list[tuple[list[str], Route]]] = {}
        for route in routes:
            segments = split_path(route.path)
            self._by_length.setdefault(len(segments), []).append((segments, route))

    def find(self, method: str, segments: list[str]) -> tuple[Route, dict[str, str]]:
        """The route and the values of its variable segments.

        :raises ApiError: 404 for an unknown path, 405 for a known one with another method
        """
        known = False
        for pattern, route in self._by_length.get(len(segments), ()):
            values = {}
            for expected, actual in zip(pattern, segments, strict=True):
                if expected.startswith("{"):
                    values[expected[1:-1]] = actual
                elif expected != actual:
                    break
            else:
                if route.method == method:
                    return route, values
                known = True
        if known:
            raise ApiError(405, "MethodNotAllowed", f"{method} is not allowed on this resource.")
        raise ApiError(404, "NotFound", "There is no such operation.")
