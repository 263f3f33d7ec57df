"""A service that responds with whatever a test wants, and responses that no service should send."""

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
    """Listens on loopback, and closes each connection after one response.

    :param respond: takes method and path; returns the bytes to send, status line and all.
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
        # A client that has read enough may hang up first.
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def response(body: Any, status: str = "200 OK", headers: str = "", length: int | None = None) -> bytes:
    """A response with that body: bytes as they are, text as UTF-8, anything else as JSON.

    :param headers: further lines, each with its line end.
    """
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    data = body if isinstance(body, bytes) else body.encode()
    size = len(data) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-length: {size}\r\n{headers}\r\n".encode("latin-1") + data


RUN = json.dumps(run_body("SUCCEEDED"))
DEEP = "[" * 100_000 + "]" * 100_000

#: Responses that hold no resource and no list of any: each is an error in every call that reads its response.
NO_RESOURCE: dict[str, bytes] = {
    "nothing at all": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a status line only": b"HTTP/1.1 200 OK\r\n",
    "a broken header": b"HTTP/1.1 200 OK\r\n\x00\xff: x\r\ncontent-length: 2\r\n\r\n{}",
    "a wrong length": response(RUN, length=100_000),
    "a length that is no number": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}",
    "an empty body": response(""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "a login page": response("<html>Sign in</html>", headers="content-type: text/html\r\n"),
    "half of it": response(RUN[:20]),
    "null": response("null"),
    "a number": response("5"),
    "a text": response('"SUCCEEDED"'),
    "true": response("true"),
    "an empty object": response("{}"),
    "an object in a list": response([[{}]]),
    "numbers in a list": response([1, None, "x"]),
    "lists nested deep": response(DEEP),
    "objects nested deep": response('{"a":' * 100_000),
    "a number without end": response("1" * 5000),
    "NaN": response("NaN"),
    "UTF-16": response(RUN.encode("utf-16")),
    "Latin-1": response('{"id": "x", "displayName": "\u00fc"}'.encode("latin-1")),
    "a byte order mark": response(b"\xef\xbb\xbf" + RUN.encode()),
    "zeros": response(bytes(100)),
    "no gzip": response(RUN, headers="content-encoding: gzip\r\n"),
    "half a gzip": response(gzip.compress(RUN.encode())[:30], headers="content-encoding: gzip\r\n"),
    "no deflate": response(RUN, headers="content-encoding: deflate\r\n"),
    "no chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a redirect": response("", "302 Found", "location: http://127.0.0.1:1/\r\n"),
    "a redirect to nowhere": response("", "301 Moved", "location: \xff\xfe://[\r\n"),
    "a status of its own": response("{}", "799 Odd"),
    "an error in no JSON": response("<h1>Bad Gateway</h1>", "502 Bad Gateway"),
    "an error that is a list": response([1], "500 Error"),
    "an error with odd fields": response({"code": {"a": [1]}, "message": ["x", {"y": 1}]}, "500 Error"),
    "an error nested deep": response(DEEP, "500 Error"),
    "an error in UTF-16": response('{"code": "x"}'.encode("utf-16"), "500 Error"),
    "an error with surrogates": response('{"code": "\\ud800", "message": "\\u0000\\udfff"}', "500 Error"),
    "an error of a megabyte": response({"code": "x" * 100_000, "message": "y" * 1_000_000}, "500 Error"),
    "a huge Retry-After": response("{}", "503 Busy", "retry-after: 99999999999\r\n"),
    "an infinite Retry-After": response("{}", "503 Busy", "retry-after: inf\r\n"),
    "no Retry-After": response("{}", "503 Busy", "retry-after: nan\r\n"),
    "a Retry-After in words": response("{}", "503 Busy", "retry-after: soon\r\ndate: yesterday\r\n"),
    "odd headers": response(
        "{}", "500 Error", "opc-request-id: \xff\xfe\r\ndate: \xe4\r\nset-cookie: ;=\r\n"
    ),
}

#: Values that no field of the API has.
ODD_VALUES: tuple[Any, ...] = (
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


def odd_bodies(seed: int, count: int) -> list[str]:
    """Runs as JSON in which some fields have odd values; the same for the same seed."""
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
    bodies = []
    for number in range(count):
        # Some as they should be.
        chosen = generator.sample(names, number % 4)
        fields = {name: generator.choice(ODD_VALUES) for name in chosen}
        text = json.dumps(run_body("IN_PROGRESS", **fields))
        if generator.random() < 0.2:
            text = text.replace('"nightly"', generator.choice(["NaN", "1e999", "-Infinity", "9" * 5000]))
        bodies.append(text)
    return bodies
