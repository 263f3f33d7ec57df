"""Security tokens of sessions, instances and resources. A request that is signed with one has the key id
``ST$<token>``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key

from airflow_provider_dataflow.local.http.messages import Principal

# Claims that hold the tenancy in tokens of users, instances and resources.
_TENANCY_CLAIMS = ("tenant", "opc-tenant", "res_tenant")


@dataclass(frozen=True, slots=True)
class SessionToken:
    """Security token and the key pair to sign with.

    :param private_key: PEM
    :param public_key: PEM
    :param expires: seconds since the epoch
    """

    token: str
    private_key: str
    public_key: str
    expires: float

    def __repr__(self) -> str:
        return f"SessionToken(expires={self.expires!r})"


def new_token(principal: Principal, issued: float, expires: float) -> SessionToken:
    """Create a token with its own key pair and the claims that clients read.

    :param issued: seconds since the epoch
    :param expires: seconds since the epoch
    """
    # Imported late: a server that never gets a token does not need it.
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
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # The signature of the token does not matter: the server accepts only registered tokens.
    return SessionToken(
        jwt.encode(claims, key, "RS256"), private_key.decode(), public_key.decode(), claims["exp"]
    )


def claims_of(token: str) -> Mapping[str, Any]:
    """Return the unverified claims of a token; empty if it is not a JWT."""
    import jwt

    try:
        claims: Mapping[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return {}
    return claims


def principal_of(claims: Mapping[str, Any], default: Principal) -> Principal:
    """Return the principal that the claims name; missing parts come from ``default``."""
    tenancies = [claims[name] for name in _TENANCY_CLAIMS if isinstance(claims.get(name), str)]
    user = claims.get("sub")
    return Principal(
        tenancies[0] if tenancies else default.tenancy,
        user if isinstance(user, str) and user else default.user,
    )


def expiry_of(claims: Mapping[str, Any]) -> float | None:
    """Return the expiry that the claims name, in seconds since the epoch."""
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, int | float | str):
        return None
    try:
        moment = float(expires)
    except (ValueError, OverflowError):
        return None
    return moment if math.isfinite(moment) else None


def load_public_key(pem: str) -> RSAPublicKey:
    """Load an RSA public key in PEM.

    :raises ValueError: it is not one
    """
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError:
        raise ValueError("the public key is not in PEM") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the public key is not an RSA key")
    return key
