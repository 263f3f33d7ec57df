"""Unsigned client of the Object Storage of a service."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_provider_dataflow.local.http.messages import Request, Response
from tests.unit.local.support import COMPARTMENT, Local

HOST = "127.0.0.1:8170"


def md5(content: bytes) -> str:
    return b64encode(hashlib.md5(content).digest()).decode()


@dataclass
class ObjectClient:
    """Calls the operations on one bucket as the HTTP server does: an upload is written to a file first."""

    local: Local
    bucket: str = "data"
    namespace: str = "ns"

    def __post_init__(self) -> None:
        self.folder: Path = self.local.objects.buckets.create(self.namespace, self.bucket)

    @property
    def path(self) -> str:
        return f"/n/{self.namespace}/b/{self.bucket}"

    def call(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method, target, {"host": HOST, "content-length": str(len(body))} | named)
        service = self.local.service
        assert service.is_blocking(request)
        upload = service.open_upload(request)
        if isinstance(upload, Response):
            return upload
        if upload is None:
            request.body = body
            return service.handle(request)
        try:
            upload.write(body)
            upload.finish()
            request.upload = upload
            return service.handle(request)
        finally:
            upload.discard()

    def json(self, method: str, target: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON body of a response, which must be a success."""
        response = self.call(method, target, b"" if body is None else json.dumps(body).encode(), **headers)
        assert 200 <= response.status < 300, response.content()
        content = response.content()
        return json.loads(content) if content else None

    def error(self, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """Return status and code of an error response."""
        response = self.call(method, target, body, **headers)
        content = json.loads(response.content())
        assert set(content) == {"code", "message"}
        assert content["message"]
        return response.status, content["code"]

    def object_path(self, name: str) -> str:
        return f"{self.path}/o/{quote(name, safe='')}"

    def put(self, name: str, content: bytes = b"", **headers: str) -> str:
        """Put an object and return its etag."""
        response = self.call("PUT", self.object_path(name), content, **headers)
        assert response.status == 200, response.content()
        return response.headers["etag"]

    def get(self, name: str, **headers: str) -> Response:
        return self.call("GET", self.object_path(name), **headers)

    def head(self, name: str) -> Response:
        return self.call("HEAD", self.object_path(name))

    def delete(self, name: str, **headers: str) -> Response:
        return self.call("DELETE", self.object_path(name), **headers)

    def list(self, **query: Any) -> Any:
        parameters = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
        return self.json("GET", f"{self.path}/o?{parameters}")

    def names(self, **query: Any) -> list[str]:
        return [found["name"] for found in self.list(**query)["objects"]]

    def create_bucket(self, name: str, **fields: Any) -> Any:
        details = {"name": name, "compartmentId": COMPARTMENT, **fields}
        return self.json("POST", f"/n/{self.namespace}/b", details)
