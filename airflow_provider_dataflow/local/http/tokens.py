"""Security tokens, by which sessions and principals sign: ``ST$<token>`` is then the key id."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key

from airflow_provider_dataflow.local.http.messages import Principal

# What the service's tokens call them: of users, of instances, of resources.
_TENANCIES = ("tenant", "opc-tenant", "res_tenant")


@dataclass(frozen=True, slots=True)
class SecurityToken:
    """A token and what a client needs to sign with it.

    :param expires: seconds since the epoch
    """

    token: str
    private_key: str
    public_key: str
    expires: float

    def __repr__(self) -> str:
        return f"SecurityToken(expires={self.expires!r})"


def new_token(principal: Principal, issued: float, expires: float) -> SecurityToken:
    """A token with a key of its own, with the claims that clients read."""
    # Late: a server that gets no token does not need it.
    import jwt
    from jwt.algorithms import RSAAlgorithm

    key = generate_private_key(public_exponent=65537, key_size=2048)
    claims: dict[str, Any] = {
        "sub": principal.user,
        "tenant": principal.tenancy,
        "ptype": "user",
        "iat": int(issued),
        "exp": int(expires),
        "jwk": json.dumps(RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)),
    }
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # Nobody checks by whom a token is signed: the server knows those that are registered with it.
    return SecurityToken(jwt.encode(claims, key, "RS256"), private.decode(), public.decode(), claims["exp"])


def claims_of(token: str) -> Mapping[str, Any]:
    """What a token says of itself, unchecked; nothing, if it is not a JWT."""
    import jwt

    try:
        claims: Mapping[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return {}
    return claims


def principal_of(claims: Mapping[str, Any], default: Principal) -> Principal:
    """Whose a token is; what it does not say is taken from the default."""
    named = [claims[name] for name in _TENANCIES if isinstance(claims.get(name), str)]
    user = claims.get("sub")
    return Principal(
        named[0] if named else default.tenancy, user if isinstance(user, str) and user else default.user
    )


def expiry_of(claims: Mapping[str, Any]) -> float | None:
    """Until when a token says that it holds, in seconds since the epoch."""
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, int | float | str):
        return None
    try:
        moment = float(expires)
    except (ValueError, OverflowError):
        return None
    return moment if math.isfinite(moment) else None


def load_public_key(pem: str) -> RSAPublicKey:
    """:raises ValueError: it is no RSA key in PEM"""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError:
        raise ValueError("the public key is not in PEM") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the public key is not an RSA key")
    return key
