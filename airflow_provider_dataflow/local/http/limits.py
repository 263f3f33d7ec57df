"""What the HTTP server does not do by itself: limits of time and size, and the API's form of an error for
what is no HTTP request at all."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_dataflow.local.http.asgi import CLOSE

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        HttpToolsProtocol = None

# Of the request line and the headers.
MAX_HEAD_BYTES = 64 * 1024
# For a request to arrive, from the connection or its first byte on.
REQUEST_SECONDS = 30.0
# Clients that poll keep their connection: longer than any sensible interval.
KEEP_ALIVE_SECONDS = 75

_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


def _offer_close(protocol: Any) -> None:
    """Let the application close the connection, by an extension in its scope."""
    app = protocol.app

    async def with_close(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("extensions", {})[CLOSE] = protocol.transport.close
        await app(scope, receive, send)

    protocol.app = with_close


def _answer(status: int, code: str, message: str) -> bytes:
    content = json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    lines = [
        b"HTTP/1.1 %d %b" % (status, _REASONS[status]),
        b"content-type: application/json",
        b"content-length: %d" % len(content),
        b"connection: close",
        b"",
        content,
    ]
    return b"\r\n".join(lines)


class _Limits:
    """Mixed into a protocol of uvicorn."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        _offer_close(self)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)  # type: ignore[misc]

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        self._reject(408, "RequestTimeout", "The request did not arrive in time.")

    def _reject(self, status: int, code: str, message: str) -> None:
        self._disarm()
        if not self.transport.is_closing():
            self.transport.write(_answer(status, code, message))
            self.transport.close()

    def _reject_head(self) -> None:
        self._reject(431, "RequestHeaderFieldsTooLarge", "The request's head is too large.")

    def send_400_response(self, msg: str) -> None:
        self._reject(400, "CannotParseRequest", "This is not a valid HTTP request.")


class LimitedH11(_Limits, H11Protocol):
    """h11 limits the head itself."""

    def handle_events(self) -> None:
        super().handle_events()
        state = self.conn.states[self.conn.their_role]
        if str(state) == "SEND_BODY" or (str(state) == "IDLE" and self.conn.trailing_data[0]):
            self._arm()
        else:
            self._disarm()


if HttpToolsProtocol is not None:

    class LimitedHttpTools(_Limits, HttpToolsProtocol):
        _head_bytes: int | None = 0  # None: the head is complete

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._head_bytes is not None:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._reject_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head_bytes = 0
            self._arm()

        def on_headers_complete(self) -> None:
            self._head_bytes = None
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                self._reject_head()
                raise ValueError  # which ends the parser's work
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._disarm()
            super().on_message_complete()


def protocol() -> Any:
    """The faster of the protocols that are installed, for ``uvicorn.Config(http=...)``."""
    return LimitedH11 if HttpToolsProtocol is None else LimitedHttpTools
