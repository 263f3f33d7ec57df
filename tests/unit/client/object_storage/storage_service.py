"""Small Object Storage service in memory, with faults, for tests of the client."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


def md5_of(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


class StorageService:
    """Object Storage of one bucket.

    :ivar objects: content by name.
    :ivar requests: operations of the API in order, with the object's name.
    :ivar faults: by operation, what to do with its next requests: a status and a code to respond with,
        ``lost`` (do the work, then close the connection) or ``cut`` (close it in the middle of the body).
    """

    page_size = 1000

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[str, list[Any]] = {}
        self.headers: list[dict[str, str]] = []
        service = self

        class Handler(_Handler):
            storage = service

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def operations(self, *names: str) -> list[str]:
        """Return the operations so far, or those of these names."""
        return [operation for operation, _ in self.requests if not names or operation in names]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: StorageService

    def do_any(self) -> None:
        parts = urlsplit(self.path)
        _, _, namespace, _, bucket, kind, *rest = parts.path.split("/", 6)
        name, query = unquote(rest[0]) if rest else "", {k: v[0] for k, v in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        operation = self._operation(kind, name, query)
        self.storage.requests.append((operation, name or query.get("prefix", "")))
        self.storage.headers.append({key.lower(): value for key, value in self.headers.items()})
        queue = self.storage.faults.get(operation) or []
        fault = queue.pop(0) if queue else None
        if isinstance(fault, tuple):
            return self._fail(*fault)
        if (namespace, bucket) != ("namespace", "bucket"):
            return self._fail(404, "BucketNotFound")
        if (md5 := self.headers.get("content-md5")) and md5 != md5_of(body):
            return self._fail(400, "UnmatchedContentMD5")
        status, content, headers = getattr(self, operation)(name, query, body)
        if fault == "lost":
            self.close_connection = True
            return None
        if status >= 400:
            return self._fail(status, content)
        self._respond(status, content, headers, cut=fault == "cut")
        return None

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any

    def _operation(self, kind: str, name: str, query: dict[str, str]) -> str:
        if kind == "o":
            return f"{self.command.title()}Object" if name else "ListObjects"
        if self.command == "POST":
            return "CommitMultipartUpload" if name else "CreateMultipartUpload"
        return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload"}[self.command]

    def PutObject(self, name: str, query: Any, body: bytes) -> Any:
        if self.headers.get("if-none-match") == "*" and name in self.storage.objects:
            return 412, "IfNoneMatchFailed", {}
        self.storage.objects[name] = body
        return 200, b"", {"etag": md5_of(body)}

    def HeadObject(self, name: str, query: Any, body: bytes) -> Any:
        return self._found(name)

    def GetObject(self, name: str, query: Any, body: bytes) -> Any:
        status, content, headers = self._found(name)
        if status == 200 and (range_ := self.headers.get("range")):
            start = int(range_.removeprefix("bytes=").partition("-")[0])
            if self.headers.get("if-match") not in (None, headers["etag"]):
                return 412, "IfMatchFailed", {}
            return 206, content[start:], headers
        return status, content, headers

    def _found(self, name: str) -> Any:
        if name not in self.storage.objects:
            return 404, "ObjectNotFound", {}
        content = self.storage.objects[name]
        return 200, content, {"etag": md5_of(content), "content-md5": md5_of(content)}

    def DeleteObject(self, name: str, query: Any, body: bytes) -> Any:
        if self.storage.objects.pop(name, None) is None:
            return 404, "ObjectNotFound", {}
        return 204, b"", {}

    def ListObjects(self, name: str, query: dict[str, str], body: bytes) -> Any:
        prefix, start, delimiter = query.get("prefix", ""), query.get("start", ""), query.get("delimiter")
        names = sorted(n for n in self.storage.objects if n.startswith(prefix) and n >= start)
        page, following = names[: self.storage.page_size], names[self.storage.page_size :]
        folders = {
            n[: n.index(delimiter, len(prefix)) + 1]
            for n in page
            if delimiter and delimiter in n[len(prefix) :]
        }
        objects = [
            {"name": n, "size": len(self.storage.objects[n]), "md5": md5_of(self.storage.objects[n])}
            for n in page
            if not any(n.startswith(folder) for folder in folders)
        ]
        found: dict[str, Any] = {"objects": objects, "prefixes": sorted(folders)}
        if following:
            found["nextStartWith"] = following[0]
        return 200, json.dumps(found).encode(), {}

    def CreateMultipartUpload(self, name: str, query: Any, body: bytes) -> Any:
        details = json.loads(body)
        if self.headers.get("if-none-match") == "*" and details["object"] in self.storage.objects:
            return 412, "IfNoneMatchFailed", {}
        upload_id = f"upload-{len(self.storage.uploads)}"
        self.storage.uploads[upload_id] = {}
        answer = {"namespace": "namespace", "bucket": "bucket", "uploadId": upload_id, **details}
        return 200, json.dumps(answer).encode(), {}

    def UploadPart(self, name: str, query: dict[str, str], body: bytes) -> Any:
        self.storage.uploads[query["uploadId"]][int(query["uploadPartNum"])] = body
        return 200, b"", {"etag": md5_of(body), "opc-content-md5": md5_of(body)}

    def CommitMultipartUpload(self, name: str, query: dict[str, str], body: bytes) -> Any:
        parts = self.storage.uploads.get(query["uploadId"])
        if parts is None:
            return 404, "NoSuchUpload", {}
        if self.headers.get("if-none-match") == "*" and name in self.storage.objects:
            return 412, "IfNoneMatchFailed", {}
        numbers = [part["partNum"] for part in json.loads(body)["partsToCommit"]]
        self.storage.objects[name] = b"".join(parts[number] for number in numbers)
        del self.storage.uploads[query["uploadId"]]
        return 200, b"", {"etag": "committed"}

    def AbortMultipartUpload(self, name: str, query: dict[str, str], body: bytes) -> Any:
        self.storage.uploads.pop(query["uploadId"], None)
        return 204, b"", {}

    def _fail(self, status: int, code: str) -> None:
        self._respond(status, json.dumps({"code": code, "message": f"It is {code}"}).encode(), {})

    def _respond(self, status: int, content: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for key, value in {
            "content-type": "application/json",
            "opc-request-id": "request",
            **headers,
        }.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass
