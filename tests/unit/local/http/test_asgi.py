from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.http.asgi import CLOSE_EXTENSION, EXTEND_EXTENSION, asgi_app
from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
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

    def is_blocking(self, request: Request) -> bool:
        return False

    def open_upload(self, request: Request) -> None:
        raise AssertionError("only for blocking requests")

    async def receive(self) -> dict:
        if self._read:
            return {"type": "http.disconnect"}
        self._read = True
        return {"type": "http.request", "body": b""}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True

    def extend(self) -> None: ...

    def run(self, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": b"/",
            "query_string": b"",
            "headers": headers,
            "extensions": {CLOSE_EXTENSION: self.close, EXTEND_EXTENSION: self.extend},
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


@pytest.mark.parametrize(
    ("fault", "body", "read"),
    [
        (ResponseFault(body_seconds=2), b"012345678", 3),
        (ResponseFault(truncate=True), b"0123", 2),
        (ResponseFault(truncate=True, body_bytes=3), b"012", 1),
        (ResponseFault(delay_seconds=1), b"012345678", 3),
    ],
)
def test_large_body_is_read_only_as_far_as_it_is_sent(slept, fault, body, read):
    class Body:
        def __init__(self) -> None:
            self.chunks = [b"012", b"345", b"678"]
            self.is_closed = False

        def __iter__(self) -> Body:
            return self

        def __next__(self) -> bytes:
            if not self.chunks:
                raise StopIteration
            return self.chunks.pop(0)

        def close(self) -> None:
            self.is_closed = True

    content = Body()
    server = FakeServer(Response(200, {"content-length": "9"}, content, fault))
    server.run()
    assert server.body == body
    assert (3 - len(content.chunks), content.is_closed) == (read, True)
    assert sum(slept) == pytest.approx(fault.body_seconds + fault.delay_seconds)


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


class UploadServer(FakeServer):
    """Server whose service takes uploads, and a client that sends these chunks."""

    def __init__(self, folder: Path, chunks: list[bytes], *, refusal: Response | None = None) -> None:
        super().__init__(Response(200))
        self.body_file = IncomingBody(folder)
        self.received: bytes | None = None
        self.extended = 0
        self.threads: set[int] = set()
        self._refusal = refusal
        self._messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    def end(self, message: dict) -> UploadServer:
        self._messages.append(message)
        return self

    def is_blocking(self, request: Request) -> bool:
        return True

    def open_upload(self, request: Request) -> IncomingBody | Response:
        self.threads.add(threading.get_ident())
        return self._refusal or self.body_file

    def handle(self, request: Request) -> Response:
        self.threads.add(threading.get_ident())
        assert request.upload is not None
        self.received = request.upload.path.read_bytes()
        return super().handle(request)

    async def receive(self) -> dict:
        return self._messages.pop(0)

    def extend(self) -> None:
        self.extended += 1


END = {"type": "http.request", "body": b"", "more_body": False}


def test_upload_is_written_to_file_outside_of_the_event_loop(tmp_path):
    chunks = [bytes([n]) * 700_000 for n in range(4)]
    server = UploadServer(tmp_path, chunks).end(END)
    server.run()
    assert server.received == b"".join(chunks)
    assert server.body_file.size == 2_800_000
    assert threading.get_ident() not in server.threads
    assert server.extended == 5
    assert list(tmp_path.iterdir()) == []


def test_interrupted_upload_is_not_handled(tmp_path):
    server = UploadServer(tmp_path, [bytes(2_000_000)]).end({"type": "http.disconnect"})
    server.run()
    assert (server.received, server.sent) == (None, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("expects", [False, True])
def test_refused_upload_is_not_read(tmp_path, expects):
    """A client that waits for "100 Continue" must not reuse the connection, on which the body is missing."""
    server = UploadServer(tmp_path, [], refusal=Response(404))
    server.run([(b"expect", b"100-continue")] if expects else [])
    assert server.sent[0]["status"] == 404
    assert ((b"connection", b"close") in server.sent[0]["headers"]) is expects


def test_error_of_disk_is_kept_while_the_rest_is_read(tmp_path, monkeypatch):
    upload = IncomingBody(tmp_path)
    upload.write(b"a")

    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    monkeypatch.setattr(upload, "_file", Full())
    upload.write(b"b")
    upload.write(b"c")
    upload.finish()
    assert upload.error is not None
    assert upload.size == 1
