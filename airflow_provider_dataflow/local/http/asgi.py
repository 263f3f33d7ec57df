"""ASGI around the service: reads a request, lets the service answer, sends the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol

from airflow_provider_dataflow.local.http.messages import ApiError, Delivery, Request, Response

# The largest thing that a client sends is a run with its arguments and configuration.
MAX_BODY_BYTES = 4 * 1024 * 1024
# What is read of a larger one all the same: a client that is still sending does not see the answer.
_MAX_DRAINED_BYTES = 64 * 1024 * 1024

# The extension in a scope by which the application closes the connection; see ``wire``.
CLOSE = "dataflow.close"
_PIECES = 20

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
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        if not message.get("more_body", False) or size > _MAX_DRAINED_BYTES:
            return b"".join(chunks) if size <= MAX_BODY_BYTES else None


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
        if response.delivery is None:
            await _send(response, send)
        else:
            await _deliver(response, response.delivery, scope, receive, send)

    return app


async def _deliver(
    response: Response, delivery: Delivery, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send an answer late, slowly, in part or not at all."""
    if delivery.late is not None:
        is_wanted = await _stays(receive, delivery.delay)
        response = delivery.late(is_wanted)
        if is_wanted:
            await _send(response, send)
        return
    if delivery.delay:
        await asyncio.sleep(delivery.delay)
    if delivery.drop:
        await _close(scope, receive)
        return
    content = response.body = await asyncio.to_thread(response.content)
    if not delivery.body_seconds and not delivery.truncate:
        await _send(response, send)
        return
    end = len(content)
    if delivery.truncate:
        end = end // 2 if delivery.body_bytes is None else min(delivery.body_bytes, end)
    await send(_start(response))
    size = max(1, -(-end // _PIECES))
    pieces = [content[i : min(i + size, end)] for i in range(0, end, size)]
    for piece in pieces:
        await asyncio.sleep(delivery.body_seconds / len(pieces))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if delivery.truncate:
        await _close(scope, receive)
    else:
        await send({"type": "http.response.body", "body": b""})


async def _stays(receive: Receive, seconds: float) -> bool:
    """Whether the client is still there after so long."""
    gone = asyncio.ensure_future(receive())
    await asyncio.wait({gone}, timeout=seconds)
    return not gone.done() and gone.cancel()


async def _close(scope: Scope, receive: Receive) -> None:
    """Close the connection; return when it is, as the server would else answer by itself.

    :raises ConnectionAbortedError: the server cannot do that
    """
    close = scope.get("extensions", {}).get(CLOSE)
    if close is None:
        raise ConnectionAbortedError
    close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(response: Response) -> MutableMapping[str, Any]:
    headers = dict(response.headers)
    if isinstance(response.body, bytes) and response.status != 204:
        headers["content-length"] = str(len(response.body))
    encoded = [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in headers.items()]
    return {"type": "http.response.start", "status": response.status, "headers": encoded}


async def _send(response: Response, send: Send) -> None:
    await send(_start(response))
    if isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": response.body})
        return
    iterator: Iterator[bytes] = response.body
    while (chunk := await asyncio.to_thread(next, iterator, None)) is not None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
