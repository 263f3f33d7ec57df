"""Security tokens: their claims, and reading a token together with its private key."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from airflow_provider_dataflow.exceptions import InvalidConnection

#: Attempts to read a token and a key that match.
READ_ATTEMPTS = 5
READ_PAUSE_SECONDS = 0.1

T = TypeVar("T")


def claims_of(token: str) -> Mapping[str, Any]:
    """Return the claims of a JWT, unverified; empty if it is no JWT."""
    try:
        claims = json.loads(_decoded(token.split(".")[1]))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def expiry(key_id: str) -> float | None:
    """Return the expiry of the token in a key id, in seconds since the epoch; ``None`` without a token."""
    _, is_token, token = key_id.partition("ST$")
    if not is_token:
        return None
    try:
        return float(claims_of(token)["exp"])
    except (KeyError, TypeError, ValueError):
        return None


def check_pair(token: str, private_key: Any, *, field: str, key_field: str) -> None:
    """Refuse a malformed token, and a token that was issued for another key.

    :param field: where the token comes from, for the message.
    :param key_field: where the key comes from, for the message.
    :raises InvalidConnection: token and key do not match.
    """
    if expiry(f"ST${token}") is None:
        raise InvalidConnection(f"{field}: expected a security token; the value is malformed")
    issued_for = _modulus(claims_of(token).get("jwk"))
    if issued_for not in (None, private_key.public_key().public_numbers().n):
        raise InvalidConnection(f"{field}: the token was issued for another key than the one in {key_field}")


def read_consistent_pair(read: Callable[[], T]) -> T:
    """Read a token and its key. Repeat it if they do not match, since they are rewritten one by one.

    :param read: reads both; raises ``InvalidConnection`` if they do not match.
    """
    for _ in range(READ_ATTEMPTS - 1):
        try:
            return read()
        except InvalidConnection:
            time.sleep(READ_PAUSE_SECONDS)
    return read()


def _modulus(jwk: Any) -> int | None:
    """Return the modulus of the public key in a token, which holds it as JSON within JSON."""
    try:
        key = json.loads(jwk) if isinstance(jwk, str) else jwk
        return int.from_bytes(_decoded(key["n"]))
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
