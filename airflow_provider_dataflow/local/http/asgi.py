"""ASGI application around the service: reads a request, calls the service, sends the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from email.utils import formatdate
from typing import Any, Protocol

from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
from airflow_provider_dataflow.local.http.messages import ApiError, Request, Response, ResponseFault

# The largest legitimate request that is no upload is a run with its arguments and configuration.
MAX_BODY_BYTES = 4 * 1024 * 1024
# A larger body is read up to this size before it is rejected, because a client that is still sending does not
# read the response.
_MAX_DRAINED_BYTES = 64 * 1024 * 1024

# ASGI scope extension that closes the connection; ``uvicorn_protocols`` provides it.
CLOSE_EXTENSION = "dataflow.close"
# ASGI scope extension that gives the client more time for the rest of its request.
EXTEND_EXTENSION = "dataflow.extend"
# Number of chunks in which a slow body is sent.
_SLOW_BODY_CHUNKS = 20
# An upload is written to its file in pieces of at least this size.
_WRITE_BYTES = 1024 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestHandler(Protocol):
    """Service that returns the response to a request."""

    def handle(self, request: Request) -> Response: ...

    def is_blocking(self, request: Request) -> bool:
        """Return whether ``handle`` may take long, and so must not run in the event loop."""

    def open_upload(self, request: Request) -> IncomingBody | Response | None:
        """Return where to write the body of this blocking request before ``handle`` is called.

        A response refuses the request, whose body is not read then. ``None``: read the body into memory.
        """


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

    ``service.handle`` runs in the event loop, as it takes less than a millisecond, unless
    ``service.is_blocking``.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = _request(scope)
        is_blocking = service.is_blocking(request)
        upload = await asyncio.to_thread(service.open_upload, request) if is_blocking else None
        if isinstance(upload, Response):
            # A client that waits for "100 Continue" does not send the body, which would be taken for the
            # next request.
            if "expect" in request.headers:
                upload.headers["connection"] = "close"
            await _send_response(upload, scope, receive, send)
            return
        try:
            if upload is not None:
                if not await _write_upload(upload, scope, receive):
                    return
                request.upload = upload
            elif (body := await _read(receive)) is not None:
                request.body = body
            else:
                error = ApiError(413, "RequestEntityTooLarge", "The request body is too large.")
                await _send(error.response({"connection": "close"}), send)
                return
            handle = service.handle
            response = await asyncio.to_thread(handle, request) if is_blocking else handle(request)
            await _send_response(response, scope, receive, send)
        finally:
            if upload is not None:
                await asyncio.to_thread(upload.discard)

    return app


def _request(scope: Scope) -> Request:
    """Return the request without its body."""
    target = scope["raw_path"].decode("latin-1")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(scope["method"], target, headers)


async def _write_upload(upload: IncomingBody, scope: Scope, receive: Receive) -> bool:
    """Write the body to its file; return whether it arrived completely."""
    extend = scope.get("extensions", {}).get(EXTEND_EXTENSION)
    chunks: list[bytes] = []
    size = 0
    is_complete = False
    while not is_complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        if extend is not None:
            extend()
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        is_complete = not message.get("more_body", False)
        if size >= _WRITE_BYTES or is_complete:
            await asyncio.to_thread(upload.write, b"".join(chunks))
            chunks, size = [], 0
    await asyncio.to_thread(upload.finish)
    return True


async def _send_response(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if response.fault is None:
        await _send(response, send)
    else:
        await _send_with_fault(response, response.fault, scope, receive, send)


async def _send_with_fault(
    response: Response, fault: ResponseFault, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send a response late, slowly, in part or not at all."""
    if fault.handle_late is not None:
        is_connected = await _stays_connected(receive, fault.delay_seconds)
        response = await asyncio.to_thread(fault.handle_late, is_connected)
        if is_connected:
            await _send(response, send)
        return
    if fault.delay_seconds:
        await asyncio.sleep(fault.delay_seconds)
    if fault.drop:
        await _close(scope, receive)
        return
    if "content-length" not in response.headers:
        response.body = await asyncio.to_thread(response.content)
    if not fault.body_seconds and not fault.truncate:
        await _send(response, send)
        return
    total = (
        len(response.body) if isinstance(response.body, bytes) else int(response.headers["content-length"])
    )
    end = total
    if fault.truncate:
        end = total // 2 if fault.body_bytes is None else min(fault.body_bytes, total)
    await send(_start(response))
    async for chunk in _chunks(response, end):
        await asyncio.sleep(fault.body_seconds * len(chunk) / end)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if fault.truncate:
        await _close(scope, receive)
    else:
        await send({"type": "http.response.body", "body": b""})


async def _chunks(response: Response, end: int) -> AsyncIterator[bytes]:
    """Yield the body up to a position; a large one as it is read, others in equal parts."""
    if isinstance(response.body, bytes):
        size = max(1, -(-end // _SLOW_BODY_CHUNKS))
        for start in range(0, end, size):
            yield response.body[start : min(start + size, end)]
        return
    position = 0
    while position < end and (chunk := await asyncio.to_thread(next, response.body, None)) is not None:
        yield chunk[: end - position]
        position += len(chunk)
    _close_body(response)


def _close_body(response: Response) -> None:
    close = getattr(response.body, "close", None)
    if close is not None:
        close()


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
    headers = {"date": formatdate(usegmt=True), **response.headers}
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
    try:
        while (chunk := await asyncio.to_thread(next, iterator, None)) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        _close_body(response)
    await send({"type": "http.response.body", "body": b""})
