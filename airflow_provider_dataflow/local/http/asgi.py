"""ASGI application around the service: reads a request, calls the service, sends the response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol

from airflow_provider_dataflow.local.http.messages import ApiError, Request, Response, ResponseFault

# The largest legitimate request is a run with its arguments and configuration.
MAX_BODY_BYTES = 4 * 1024 * 1024
# A larger body is read up to this size before it is rejected, because a client that is still sending does not
# read the response.
_MAX_DRAINED_BYTES = 64 * 1024 * 1024

# ASGI scope extension that closes the connection; ``uvicorn_protocols`` provides it.
CLOSE_EXTENSION = "dataflow.close"
# Number of chunks in which a slow body is sent.
_SLOW_BODY_CHUNKS = 20

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestHandler(Protocol):
    """Service that returns the response to a request."""

    def handle(self, request: Request) -> Response: ...


async def _read(receive: Receive) -> bytes | None:
    """Return the body; ``None`` if it is too large or the client disconnected."""
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


def asgi_app(service: RequestHandler) -> App:
    """Return the ASGI application of a service.

    ``service.handle`` runs in the event loop, as it takes less than a millisecond.
    """

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
        if response.fault is None:
            await _send(response, send)
        else:
            await _send_with_fault(response, response.fault, scope, receive, send)

    return app


async def _send_with_fault(
    response: Response, fault: ResponseFault, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send a response late, slowly, in part or not at all."""
    if fault.handle_late is not None:
        is_connected = await _stays_connected(receive, fault.delay_seconds)
        response = fault.handle_late(is_connected)
        if is_connected:
            await _send(response, send)
        return
    if fault.delay_seconds:
        await asyncio.sleep(fault.delay_seconds)
    if fault.drop:
        await _close(scope, receive)
        return
    content = response.body = await asyncio.to_thread(response.content)
    if not fault.body_seconds and not fault.truncate:
        await _send(response, send)
        return
    end = len(content)
    if fault.truncate:
        end = end // 2 if fault.body_bytes is None else min(fault.body_bytes, end)
    await send(_start(response))
    size = max(1, -(-end // _SLOW_BODY_CHUNKS))
    chunks = [content[i : min(i + size, end)] for i in range(0, end, size)]
    for chunk in chunks:
        await asyncio.sleep(fault.body_seconds / len(chunks))
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if fault.truncate:
        await _close(scope, receive)
    else:
        await send({"type": "http.response.body", "body": b""})


async def _stays_connected(receive: Receive, seconds: float) -> bool:
    """Wait, and return whether the client is still connected."""
    disconnected = asyncio.ensure_future(receive())
    await asyncio.wait({disconnected}, timeout=seconds)
    return not disconnected.done() and disconnected.cancel()


async def _close(scope: Scope, receive: Receive) -> None:
    """Close the connection and wait until it is closed; otherwise uvicorn would send a response of its own.

    :raises ConnectionAbortedError: the server does not provide the extension
    """
    close = scope.get("extensions", {}).get(CLOSE_EXTENSION)
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
