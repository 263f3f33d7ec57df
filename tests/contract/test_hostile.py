"""Malformed, oversized, slow and foreign requests over TCP: each gets a response and affects no other."""

from __future__ import annotations

import json
import socket
import time
import urllib.request

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.http.asgi import MAX_BODY_BYTES

HOST = b"Host: 127.0.0.1\r\n"
RUNS = b"/20200129/runs HTTP/1.1\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("hostile") / "home", verify=False) as local:
        yield local
        log = (local.home / "server.log").read_text()
    assert "Traceback" not in log


def _connect(server: LocalDataFlow) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.endpoint.rpartition(":")[2])), timeout=15)


def _send(server: LocalDataFlow, data: bytes) -> tuple[int, bytes]:
    """Send bytes and return status and body of the response."""
    with _connect(server) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            while status == 100:
                answer.readline()
                status = int(answer.readline().split()[1])
            length = 0
            while (line := answer.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            return status, answer.read(length)


def _alive(server: LocalDataFlow) -> bool:
    with urllib.request.urlopen(f"{server.endpoint}/_local/health", timeout=5) as answer:
        return answer.status == 200


NOT_HTTP = {
    "binary": b"\x00\x01\x02\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100,
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown method": b"FOO " + RUNS + HOST + b"\r\n",
    "lower case": b"get " + RUNS + HOST + b"\r\n",
    "connect": b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "nul": b"GET " + RUNS + HOST + b"X: a\0b\r\n\r\n",
    "folded": b"GET " + RUNS + HOST + b"X: a\r\n b\r\n\r\n",
    "negative length": b"POST " + RUNS + HOST + b"Content-Length: -1\r\n\r\n",
    "two lengths": b"POST " + RUNS + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "length and chunks": b"POST "
    + RUNS
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST " + RUNS + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_malformed_http_is_4xx(server, data):
    status, body = _send(server, data)
    assert 400 <= status < 500
    assert set(json.loads(body)) == {"code", "message"}
    assert _alive(server)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"OPTIONS * HTTP/1.1\r\n", 404),
        (b"TRACE " + RUNS, 405),
        (b"PATCH " + RUNS, 405),
        (b"GET /20200129/runs/%ff%00%ed%a0%80 HTTP/1.1\r\n", 404),
        (b"GET /20200129/../_local/../etc/passwd HTTP/1.1\r\n", 404),
        (b"GET /20200129/sqlEndpoint HTTP/1.1\r\n", 404),
        (b"GET " + RUNS + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", 400),
        (
            b"GET " + RUNS + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
            400,
        ),
    ],
)
def test_unusual_requests_are_4xx(server, head, status):
    answered, body = _send(server, head + HOST + b"\r\n")
    assert answered == status
    assert set(json.loads(body)) == {"code", "message"}


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"Host:\r\n",
        b"Host: example.com\r\n",
        b"Host: 127.0.0.1.example.com\r\n",
        b"Host: 127.0.0.1:1:2\r\n",
        b"Host: 127.0.0.1@example.com\r\n",
        b"Host: 127.0.0.1\r\nHost: example.com\r\n",
        b"Host: 0.0.0.0\r\n",
    ],
)
@pytest.mark.parametrize("path", [b"/_local/health", b"/console", b"/20200129/runs"])
def test_foreign_host_header_is_400(server, host, path):
    """Protects from web pages whose host name resolves to loopback (DNS rebinding)."""
    status, body = _send(server, b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n")
    assert status == 400
    assert set(json.loads(body)) == {"code", "message"}


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:8170", b"127.0.0.1:1", b"[::1]:8170"])
def test_loopback_host_headers_are_accepted(server, host):
    assert _send(server, b"GET /_local/health HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET /20200129/runs?page=" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET " + RUNS + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET " + RUNS + HOST + b"".join(b"X-%d: a\r\n" % i for i in range(7_000)) + b"\r\n",
        b"GET " + RUNS + HOST + b"X: " + b"a" * 70_000,
    ],
)
def test_oversized_head_is_refused(server, data):
    status, body = _send(server, data)
    assert status in (400, 431)
    assert set(json.loads(body)) == {"code", "message"}


@pytest.mark.parametrize("more", [0, 1, 8 * 1024 * 1024])
def test_oversized_body_is_413(server, more):
    size = MAX_BODY_BYTES + more
    status, body = _send(server, b"POST " + RUNS + HOST + b"Content-Length: %d\r\n\r\n" % size + b"a" * size)
    assert status == (413 if more else 400)
    assert set(json.loads(body)) == {"code", "message"}
    assert _alive(server)


def test_incomplete_requests_do_not_delay_others(server):
    halves = [
        b"",
        b"GET /20",
        b"GET " + RUNS + HOST + b"X: ",
        b"POST " + RUNS + HOST + b"Content-Length: 99\r\n\r\n{",
    ]
    connections = [_connect(server) for _ in range(40)]
    try:
        for n, connection in enumerate(connections):
            connection.sendall(halves[n % len(halves)])
        begin = time.monotonic()
        assert all(_alive(server) for _ in range(5))
        assert time.monotonic() - begin < 5
    finally:
        for connection in connections:
            connection.close()
    assert _alive(server)


def test_clients_that_do_not_read_responses_do_no_harm(server):
    for _ in range(20):
        with _connect(server) as connection:
            connection.sendall((b"GET /_local/health HTTP/1.1\r\n" + HOST + b"\r\n") * 50)
    assert _alive(server)


def test_pipelined_requests_are_all_served(server):
    with _connect(server) as connection:
        connection.sendall((b"GET /_local/health HTTP/1.1\r\n" + HOST + b"\r\n") * 3)
        received = b""
        while received.count(b'"status":"ok"') < 3:
            received += connection.recv(65536)
    assert received.count(b"HTTP/1.1 200") == 3
