"""HTTP service that sends any bytes, and malformed responses for tests of the clients."""

from __future__ import annotations

import gzip
import json
import random
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from tests.unit.support import run_body

Respond = Callable[[str, str], bytes]


class HostileService:
    """HTTP service on loopback that closes each connection after one response.

    :param respond: function of method and path that returns the bytes to send, from the status line on.
    """

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.requests: list[tuple[str, str]] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline().decode("latin-1").split(" ")
                length = 0
                while (header := self.rfile.readline().strip()) != b"":
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                self.rfile.read(length)
                if len(line) > 1:
                    outer.requests.append((line[0], line[1]))
                    self.wfile.write(outer.respond(line[0], line[1]))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # Clients may close the connection early.
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def response(body: Any, status: str = "200 OK", headers: str = "", length: int | None = None) -> bytes:
    """Return a response whose body is bytes, text as UTF-8, or anything else as JSON.

    :param headers: further header lines, each with its line end.
    :param length: value of Content-Length, if it is to be wrong.
    """
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    data = body if isinstance(body, bytes) else body.encode()
    size = len(data) if length is None else length
    # The server closes the connection: a client that used it again would need another attempt.
    head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {size}\r\n{headers}\r\n"
    return head.encode("latin-1") + data


RUN = json.dumps(run_body("SUCCEEDED"))
DEEP = "[" * 100_000 + "]" * 100_000

#: Responses without a resource or a list. Every call that reads its response must raise an error.
NO_RESOURCE: dict[str, bytes] = {
    "no bytes": b"",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "status line only": b"HTTP/1.1 200 OK\r\n",
    "broken header": b"HTTP/1.1 200 OK\r\n\x00\xff: x\r\ncontent-length: 2\r\n\r\n{}",
    "wrong content length": response(RUN, length=100_000),
    "content length that is no number": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}",
    "empty body": response(""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "login page": response("<html>Sign in</html>", headers="content-type: text/html\r\n"),
    "truncated JSON": response(RUN[:20]),
    "null": response("null"),
    "number": response("5"),
    "text": response('"SUCCEEDED"'),
    "true": response("true"),
    "empty object": response("{}"),
    "nested list": response([[{}]]),
    "list of scalars": response([1, None, "x"]),
    "deeply nested lists": response(DEEP),
    "deeply nested objects": response('{"a":' * 100_000),
    "number of 5000 digits": response("1" * 5000),
    "NaN": response("NaN"),
    "UTF-16": response(RUN.encode("utf-16")),
    "Latin-1": response('{"id": "x", "displayName": "\u00fc"}'.encode("latin-1")),
    "byte order mark": response(b"\xef\xbb\xbf" + RUN.encode()),
    "zero bytes": response(bytes(100)),
    "invalid gzip": response(RUN, headers="content-encoding: gzip\r\n"),
    "truncated gzip": response(gzip.compress(RUN.encode())[:30], headers="content-encoding: gzip\r\n"),
    "invalid deflate": response(RUN, headers="content-encoding: deflate\r\n"),
    "invalid chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "redirect": response("", "302 Found", "location: http://127.0.0.1:1/\r\n"),
    "redirect to an invalid URL": response("", "301 Moved", "location: \xff\xfe://[\r\n"),
    "unknown status": response("{}", "799 Odd"),
    "error that is no JSON": response("<h1>Bad Gateway</h1>", "502 Bad Gateway"),
    "error that is a list": response([1], "500 Error"),
    "error with fields of other types": response(
        {"code": {"a": [1]}, "message": ["x", {"y": 1}]}, "500 Error"
    ),
    "deeply nested error": response(DEEP, "500 Error"),
    "error in UTF-16": response('{"code": "x"}'.encode("utf-16"), "500 Error"),
    "error with surrogates": response('{"code": "\\ud800", "message": "\\u0000\\udfff"}', "500 Error"),
    "error of a megabyte": response({"code": "x" * 100_000, "message": "y" * 1_000_000}, "500 Error"),
    "huge Retry-After": response("{}", "503 Busy", "retry-after: 99999999999\r\n"),
    "infinite Retry-After": response("{}", "503 Busy", "retry-after: inf\r\n"),
    "NaN as Retry-After": response("{}", "503 Busy", "retry-after: nan\r\n"),
    "text as Retry-After": response("{}", "503 Busy", "retry-after: soon\r\ndate: yesterday\r\n"),
    "headers that are not ASCII": response(
        "{}", "500 Error", "opc-request-id: \xff\xfe\r\ndate: \xe4\r\nset-cookie: ;=\r\n"
    ),
}

#: Values of types or forms that fields of the API do not have.
INVALID_VALUES: tuple[Any, ...] = (
    5,
    -1,
    1.5,
    10**400,
    True,
    "",
    "x",
    "5",
    "0000-00-00T99:99:99Z",
    "9999-12-31T23:59:59-23:59",
    [],
    [None],
    [[]],
    {},
    {"a": None},
    {"a": {"b": []}},
)


def runs_with_invalid_fields(seed: int, count: int) -> list[str]:
    """Return runs as JSON, some with invalid fields. The same seed gives the same runs."""
    generator = random.Random(seed)
    names = [
        "id",
        "lifecycleState",
        "timeCreated",
        "timeUpdated",
        "applicationId",
        "compartmentId",
        "totalOCpu",
        "runDurationInMilliseconds",
        "arguments",
        "configuration",
        "freeformTags",
        "definedTags",
        "displayName",
        "driverShapeConfig",
        "parameters",
    ]
    runs = []
    for number in range(count):
        # Every fourth run is valid.
        chosen = generator.sample(names, number % 4)
        fields = {name: generator.choice(INVALID_VALUES) for name in chosen}
        text = json.dumps(run_body("IN_PROGRESS", **fields))
        if generator.random() < 0.2:
            text = text.replace('"nightly"', generator.choice(["NaN", "1e999", "-Infinity", "9" * 5000]))
        runs.append(text)
    return runs
