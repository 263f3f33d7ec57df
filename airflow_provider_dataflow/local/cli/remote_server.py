"""A server that runs, as the command line sees it: its ``/_local`` routes, and signed requests."""

from __future__ import annotations

import base64
import gzip
import json
import urllib.error
import urllib.request
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlencode

from airflow_provider_dataflow.local.http.keys import Identity

# Never by way of a proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT = 60.0


class Refused(Exception):
    """The server answered with an error, or did not answer; says which."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Remote:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def read(self, path: str) -> bytes:
        """:raises Refused: see there"""
        return self._send("GET", f"/_local/{path}", None, {})

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The answer of a route below ``/_local/``.

        :raises Refused: see there
        """
        content = None if body is None else json.dumps(body).encode()
        target = f"/_local/{path}" + (f"?{urlencode(query)}" if query else "")
        answer = self._send(method, target, content, {"content-type": "application/json"} if content else {})
        return json.loads(answer) if answer else None

    def cancel(self, identity: Identity, run_id: str) -> None:
        """As any client would: by a signed request to the API.

        :raises Refused: see there
        """
        target = f"/20200129/runs/{quote(run_id, safe='')}"
        host = self.endpoint.partition("://")[2]
        headers = {"date": formatdate(usegmt=True), "host": host}
        headers["authorization"] = _signature(identity, "delete", target, headers)
        self._send("DELETE", target, None, headers)

    def _send(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(self.endpoint + target, body, headers, method=method)  # noqa: S310
        try:
            with _opener.open(request, timeout=_TIMEOUT) as response:
                content: bytes = response.read()
                packed = response.headers.get("content-encoding") == "gzip"
        except urllib.error.HTTPError as e:
            with e:
                raise Refused(_message(e.code, e.read()), e.code) from None
        except (urllib.error.URLError, OSError) as e:
            reason = getattr(e, "reason", e)
            raise Refused(f"No server answers at {self.endpoint}: {reason}.") from None
        return gzip.decompress(content) if packed else content


def _message(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {status}."


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
