"""ASGI around the service: reads a request, lets the service answer, sends the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol

from airflow_provider_dataflow.local.http import ApiError, Request, Response

# The largest thing that a client sends is a run with its arguments and configuration.
MAX_BODY_BYTES = 4 * 1024 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Service(Protocol):
    def handle(self, request: Request) -> Response: ...


async def _read(receive: Receive) -> bytes | None:
    """The body; ``None`` if it is too large or the client went away."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def application(service: Service) -> App:
    """An ASGI application. ``service.handle`` takes less than a millisecond, so it runs in the event loop."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        if body is None:
            response = ApiError(413, "RequestEntityTooLarge", "The request body is too large.").response()
            response.headers["connection"] = "close"
        else:
            target = scope["raw_path"].decode("latin-1")
            if scope["query_string"]:
                target += "?" + scope["query_string"].decode("latin-1")
            headers: dict[str, str] = {}
            for name, value in scope["headers"]:
                key = name.decode("latin-1").lower()
                text = value.decode("latin-1")
                headers[key] = f"{headers[key]}, {text}" if key in headers else text
            response = service.handle(Request(scope["method"], target, headers, body))
        await _send(response, send)

    return app


async def _send(response: Response, send: Send) -> None:
    headers = dict(response.headers)
    if isinstance(response.body, bytes) and response.status != 204:
        headers["content-length"] = str(len(response.body))
    encoded = [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    if isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": response.body})
        return
    iterator: Iterator[bytes] = response.body
    while (chunk := await asyncio.to_thread(next, iterator, None)) is not None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
