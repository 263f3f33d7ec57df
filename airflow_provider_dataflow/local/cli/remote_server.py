"""Client of a running server for the command line: its ``/_local`` routes, and signed requests."""

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

# Without proxies: the server is on loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_SECONDS = 60.0


class Refused(Exception):
    """The server returned an error, or no response; the message says which.

    :param status: of the response; ``None``: there was none, or none of Local Data Flow
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Remote:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def health(self) -> dict[str, Any]:
        """Return what the server says of itself.

        :raises Refused: nothing answers, or something that is not Local Data Flow
        """
        try:
            health = self.call("GET", "health")
        except Refused as e:
            if e.status is None:
                raise
            raise self._other_program() from None
        if not isinstance(health, dict) or not {"pid", "engine", "runs", "time"} <= set(health):
            raise self._other_program()
        return health

    def read(self, *path: str) -> bytes:
        """:raises Refused: see there"""
        return self._send("GET", _target(path), None, {})

    def call(self, method: str, *path: str, body: Any = None, **query: str) -> Any:
        """Return the response of a route below ``/_local/``.

        :param path: its segments
        :raises Refused: see there
        """
        content = None if body is None else json.dumps(body).encode()
        target = _target(path) + (f"?{urlencode(query, errors='surrogateescape')}" if query else "")
        answer = self._send(method, target, content, {"content-type": "application/json"} if content else {})
        try:
            return json.loads(answer) if answer else None
        except (ValueError, RecursionError):
            raise self._other_program() from None

    def cancel(self, identity: Identity, run_id: str) -> None:
        """Cancel a run by a signed request to the API, as any client does.

        :raises Refused: see there
        """
        target = f"/20200129/runs/{_quoted(run_id)}"
        host = self.endpoint.partition("://")[2]
        headers = {"date": formatdate(usegmt=True), "host": host}
        headers["authorization"] = _signature(identity, "delete", target, headers)
        self._send("DELETE", target, None, headers)

    def _other_program(self) -> Refused:
        return Refused(f"What answers at {self.endpoint} is not Local Data Flow, but another program.")

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
                raise Refused(_message(e), e.code) from None
        except (http.client.HTTPException, EOFError, zlib.error, gzip.BadGzipFile):
            raise self._other_program() from None
        except OSError as e:
            cause = getattr(e, "reason", e)
            reason = getattr(cause, "strerror", None) or cause
            raise Refused(f"No server answers at {self.endpoint}: {reason}.") from None


def _quoted(segment: str) -> str:
    return quote(segment, safe="", errors="surrogateescape")


def _target(path: tuple[str, ...]) -> str:
    return "/_local/" + "/".join(_quoted(segment) for segment in path)


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (http.client.HTTPException, OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"The server answered {error.code}."


def _signature(identity: Identity, method: str, target: str, headers: dict[str, str]) -> str:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    key = serialization.load_pem_private_key(identity.private_key.encode(), None)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101 - it is what we have made
    signed = f"date: {headers['date']}\n(request-target): {method} {target}\nhost: {headers['host']}"
    signature = base64.b64encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    return (
        f'Signature version="1",keyId="{identity.key_id}",algorithm="rsa-sha256",'
        f'headers="date (request-target) host",signature="{signature}"'
    )
