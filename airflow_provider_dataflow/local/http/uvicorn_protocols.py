"""HTTP protocols for uvicorn with limits on the time and size of a request.

A request that exceeds a limit, or is not valid HTTP, gets a JSON error like those of the API.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_dataflow.local.http.asgi import CLOSE_EXTENSION, EXTEND_EXTENSION

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        HttpToolsProtocol = None

# Request line and headers together.
MAX_HEAD_BYTES = 64 * 1024
# Clients that poll reuse their connection, so this is longer than any sensible poll interval.
KEEP_ALIVE_SECONDS = 75

_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


def _add_extensions(protocol: Any) -> None:
    """Let the ASGI application control the connection through extensions of its scope."""
    app = protocol.app

    async def with_extensions(scope: Any, receive: Any, send: Any) -> None:
        extensions = scope.setdefault("extensions", {})
        extensions[CLOSE_EXTENSION] = protocol.transport.close
        extensions[EXTEND_EXTENSION] = protocol.extend_timeout
        await app(scope, receive, send)

    protocol.app = with_extensions


def _error_response(status: int, code: str, message: str) -> bytes:
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


class _RequestLimits:
    """Mixin for uvicorn's protocols: request timeout, and JSON errors instead of plain text."""

    # Time for a request to arrive completely, counted from the connection or from the request's first byte.
    REQUEST_TIMEOUT_SECONDS: ClassVar[float] = 30.0

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        _add_extensions(self)
        self._start_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timeout()
        super().connection_lost(exc)  # type: ignore[misc]

    def _start_timeout(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.REQUEST_TIMEOUT_SECONDS, self._on_timeout)

    def extend_timeout(self) -> None:
        """Start the timeout of an unfinished request again: an upload may take long while data arrives."""
        if self._deadline is not None:
            self._stop_timeout()
            self._start_timeout()

    def _stop_timeout(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_timeout(self) -> None:
        self._deadline = None
        self._reject(408, "RequestTimeout", "The request did not arrive in time.")

    def _reject(self, status: int, code: str, message: str) -> None:
        self._stop_timeout()
        if not self.transport.is_closing():
            self.transport.write(_error_response(status, code, message))
            self.transport.close()

    def _reject_head(self) -> None:
        self._reject(431, "RequestHeaderFieldsTooLarge", "The request line and headers are too large.")

    def send_400_response(self, msg: str) -> None:
        self._reject(400, "CannotParseRequest", "This is not a valid HTTP request.")


class LimitedH11(_RequestLimits, H11Protocol):
    """Protocol on h11, which limits the size of the head itself."""

    def handle_events(self) -> None:
        super().handle_events()
        state = self.conn.states[self.conn.their_role]
        if str(state) == "SEND_BODY" or (str(state) == "IDLE" and self.conn.trailing_data[0]):
            self._start_timeout()
        else:
            self._stop_timeout()


if HttpToolsProtocol is not None:

    class LimitedHttpTools(_RequestLimits, HttpToolsProtocol):
        """Protocol on httptools."""

        _head_bytes: int | None = 0  # None once the head is complete

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._head_bytes is not None:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._reject_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head_bytes = 0
            self._start_timeout()

        def on_headers_complete(self) -> None:
            self._head_bytes = None
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                self._reject_head()
                raise ValueError  # stops the parser
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._stop_timeout()
            super().on_message_complete()


def fastest_protocol() -> Any:
    """Return the fastest installed protocol, for ``uvicorn.Config(http=...)``."""
    return LimitedH11 if HttpToolsProtocol is None else LimitedHttpTools
