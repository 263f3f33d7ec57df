"""Security tokens: what they say of themselves, and reading one together with its key."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from airflow_provider_dataflow.exceptions import InvalidConnection

#: How often, and after how many seconds, files are read again that do not go together.
ATTEMPTS = 5
PAUSE = 0.1

T = TypeVar("T")


def claims_of(token: str) -> Mapping[str, Any]:
    """What a token says; nothing, if it is none. Who has signed it is for the service to check."""
    try:
        claims = json.loads(_decoded(token.split(".")[1]))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def expiry(key_id: str) -> float | None:
    """When the token in a key id ends, in seconds since the epoch."""
    _, is_token, token = key_id.partition("ST$")
    if not is_token:
        return None
    try:
        return float(claims_of(token)["exp"])
    except (KeyError, TypeError, ValueError):
        return None


def check_pair(token: str, private_key: Any, *, field: str, key_field: str) -> None:
    """Refuse a token that is none, or that says that it was issued for another key.

    :param field: what the token came from, for messages; likewise ``key_field``.
    :raises InvalidConnection: they do not go together.
    """
    if expiry(f"ST${token}") is None:
        raise InvalidConnection(f"{field}: expected a token; this is none")
    issued_for = _modulus(claims_of(token).get("jwk"))
    if issued_for not in (None, private_key.public_key().public_numbers().n):
        raise InvalidConnection(f"{field}: the token was issued for another key than that of {key_field}")


def read_pair(read: Callable[[], T]) -> T:
    """Read a token and its key, which somebody rewrites one after the other, until they go together.

    :param read: raises ``InvalidConnection`` while they do not.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except InvalidConnection:
            time.sleep(PAUSE)
    return read()


def _modulus(jwk: Any) -> int | None:
    """Of the public key in a token, which has it as JSON within JSON."""
    try:
        key = json.loads(jwk) if isinstance(jwk, str) else jwk
        return int.from_bytes(_decoded(key["n"]))
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
