"""Client of a running server: ``/_local`` routes, and signed requests to the API."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import urllib.error
import urllib.request
import zlib
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlencode

from airflow_provider_dataflow.local.http.keys import Identity

# The server is on loopback, so no proxy is used.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_SECONDS = 60.0


class RequestFailed(Exception):
    """The server returned an error or no response; the message says which.

    :param status: HTTP status; ``None``: no response, or one that is not from Local Data Flow
    :param body: body of the response
    """

    def __init__(self, message: str, status: int | None = None, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ServerClient:
    """Client of the server at an endpoint."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def health(self) -> dict[str, Any]:
        """Return the state of the server.

        :raises RequestFailed: no server, or another program, listens at the endpoint
        """
        try:
            health = self.call("GET", "health")
        except RequestFailed as e:
            if e.status is None:
                raise
            raise self._other_program() from None
        if not isinstance(health, dict) or not {"pid", "engine", "runs", "time"} <= set(health):
            raise self._other_program()
        return health

    def read(self, *path: str) -> bytes:
        """Return the body of the response of a ``/_local/`` route."""
        return self._send("GET", _target(path), None, {})

    def call(self, method: str, *path: str, body: Any = None, **query: str) -> Any:
        """Return the JSON response of a ``/_local/`` route.

        :param path: segments of the path below ``/_local/``
        """
        return self.call_target(
            method,
            _target(path) + (f"?{urlencode(query, errors='surrogateescape')}" if query else ""),
            body,
        )

    def call_target(self, method: str, target: str, body: Any = None) -> Any:
        """Return the JSON response to a request.

        :param target: path and query, percent-encoded
        """
        content = None if body is None else json.dumps(body).encode()
        response = self._send(
            method, target, content, {"content-type": "application/json"} if content else {}
        )
        try:
            return json.loads(response) if response else None
        except (ValueError, RecursionError):
            raise self._other_program() from None

    def cancel(self, identity: Identity, run_id: str) -> None:
        """Cancel a run with a signed request to the API, as any client does."""
        target = f"/20200129/runs/{_quoted(run_id)}"
        host = self.endpoint.partition("://")[2]
        headers = {"date": formatdate(usegmt=True), "host": host}
        headers["authorization"] = _signature(identity, "delete", target, headers)
        self._send("DELETE", target, None, headers)

    def _other_program(self) -> RequestFailed:
        return RequestFailed(f"The program that listens at {self.endpoint} is not Local Data Flow.")

    def _send(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(self.endpoint + target, body, headers, method=method)  # noqa: S310
        try:
            with _opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                content: bytes = response.read()
                return (
                    gzip.decompress(content)
                    if response.headers.get("content-encoding") == "gzip"
                    else content
                )
        except urllib.error.HTTPError as e:
            with e:
                text = _read_error(e)
            raise RequestFailed(_message(text, e.code), e.code, text) from None
        except (http.client.HTTPException, EOFError, zlib.error, gzip.BadGzipFile):
            raise self._other_program() from None
        except OSError as e:
            cause = getattr(e, "reason", e)
            reason = getattr(cause, "strerror", None) or cause
            raise RequestFailed(f"No server responds at {self.endpoint}: {reason}.") from None


def _quoted(segment: str) -> str:
    return quote(segment, safe="", errors="surrogateescape")


def _target(path: tuple[str, ...]) -> str:
    return "/_local/" + "/".join(_quoted(segment) for segment in path)


def _read_error(error: urllib.error.HTTPError) -> str:
    """Return the body of an error response; empty if it cannot be read."""
    try:
        return error.read().decode(errors="replace")
    except (http.client.HTTPException, OSError):
        return ""


def _message(body: str, status: int) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"The server responded with status {status}."


def _signature(identity: Identity, method: str, target: str, headers: dict[str, str]) -> str:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    key = serialization.load_pem_private_key(identity.private_key.encode(), None)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101 - we created it
    signed = f"date: {headers['date']}\n(request-target): {method} {target}\nhost: {headers['host']}"
    signature = base64.b64encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    return (
        f'Signature version="1",keyId="{identity.key_id}",algorithm="rsa-sha256",'
        f'headers="date (request-target) host",signature="{signature}"'
    )
