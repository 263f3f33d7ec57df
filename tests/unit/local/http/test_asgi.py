from __future__ import annotations

import asyncio

import pytest

from airflow_provider_dataflow.local.http.asgi import CLOSE_EXTENSION, asgi_app
from airflow_provider_dataflow.local.http.messages import Request, Response, ResponseFault


class FakeServer:
    """ASGI server that calls the application once and records what it sends."""

    def __init__(self, response: Response) -> None:
        self.sent: list[dict] = []
        self.closed = False
        self._response = response
        self._read = False

    def handle(self, request: Request) -> Response:
        return self._response

    async def receive(self) -> dict:
        if self._read:
            return {"type": "http.disconnect"}
        self._read = True
        return {"type": "http.request", "body": b""}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True

    def run(self) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [],
            "extensions": {CLOSE_EXTENSION: self.close},
        }
        asyncio.run(asgi_app(self)(scope, self.receive, self.send))

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr("airflow_provider_dataflow.local.http.asgi.asyncio.sleep", sleep)
    return seconds


@pytest.mark.parametrize(
    ("fault", "content", "body", "closed", "total"),
    [
        (ResponseFault(drop=True), b"0123456789", None, True, 0),
        (ResponseFault(delay_seconds=3), b"0123456789", b"0123456789", False, 3),
        (ResponseFault(delay_seconds=3, drop=True), b"0123456789", None, True, 3),
        (ResponseFault(body_seconds=2), b"0123456789" * 9, b"0123456789" * 9, False, 2),
        (ResponseFault(body_seconds=2), b"", b"", False, 0),
        (ResponseFault(truncate=True), b"0123456789", b"01234", True, 0),
        (ResponseFault(truncate=True, body_bytes=3), b"0123456789", b"012", True, 0),
        (ResponseFault(truncate=True, body_bytes=99), b"0123456789", b"0123456789", True, 0),
    ],
)
@pytest.mark.parametrize("as_iterator", [False, True])
def test_response_is_sent_with_the_fault(slept, fault, content, body, closed, total, as_iterator):
    response = Response(200, {}, iter([content[:4], content[4:]]) if as_iterator else content, fault)
    server = FakeServer(response)
    server.run()
    assert server.closed is closed
    assert sum(slept) == pytest.approx(total)
    if body is None:
        assert server.sent == []
    else:
        assert dict(server.sent[0]["headers"])[b"content-length"] == str(len(content)).encode()
        assert server.body == body
        assert server.sent[-1].get("more_body", False) is closed


@pytest.mark.parametrize("stays", [True, False])
def test_late_handler_is_told_whether_the_client_stays_connected(stays):
    told: list[bool] = []

    def handle_late(is_connected: bool) -> Response:
        told.append(is_connected)
        return Response(204)

    class PatientServer(FakeServer):
        async def receive(self) -> dict:
            if self._read and stays:
                await asyncio.Event().wait()
            return await super().receive()

    server = PatientServer(
        Response(0, fault=ResponseFault(delay_seconds=0.02 if stays else 600, handle_late=handle_late))
    )
    server.run()
    assert told == [stays]
    assert [m.get("status") for m in server.sent][:1] == ([204] if stays else [])
