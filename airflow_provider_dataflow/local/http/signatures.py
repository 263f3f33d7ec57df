"""Verification of request signatures (draft-cavage HTTP signatures, as OCI uses them).

There are two variants: the Python SDK, the CLI and others sign ``date``; the TypeScript SDK signs ``x-date``
and writes the names of the signed headers in mixed case.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from airflow_provider_dataflow.local.http.keys import TOKEN_PREFIX, KeyRing
from airflow_provider_dataflow.local.http.messages import ApiError, Principal, Request
from airflow_provider_dataflow.local.http.tokens import claims_of, principal_of

MAX_CLOCK_SKEW_SECONDS = 300
_ANONYMOUS = Principal("anonymous", "anonymous")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_PARAMETER = re.compile(r'\s*([a-zA-Z]+)="([^"]*)"\s*(?:,|$)')


def _not_authenticated(message: str) -> ApiError:
    return ApiError(401, "NotAuthenticated", message)


def parse_authorization(header: str) -> dict[str, str]:
    """Return the parameters of ``Authorization: Signature a="b",...``, with names in lower case.

    :raises ApiError: the header has another form
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "signature":
        raise _not_authenticated("The required information to complete authentication was not provided.")
    parameters: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            raise _not_authenticated("The Authorization header is malformed.")
        parameters[match[1].lower()] = match[2]
        position = match.end()
    return parameters


def signing_string(request: Request, names: list[str]) -> str:
    """Return the text that the signature is computed from.

    :param names: names of the signed headers
    :raises ApiError: a signed header is missing
    """
    lines = []
    for name in names:
        if name == "(request-target)":
            value: str | None = f"{request.method.lower()} {request.target}"
        else:
            value = request.headers.get(name)
        if value is None:
            raise _not_authenticated(f"The signed header {name} is missing.")
        lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _require_signed(request: Request, names: list[str], is_body_signed: bool) -> None:
    required = {"(request-target)", "host"}
    if is_body_signed:
        required |= {"content-length", "content-type", "x-content-sha256"}
    unsigned = sorted(required - set(names))
    if not {"date", "x-date"} & set(names):
        unsigned.append("date")
    if unsigned:
        raise _not_authenticated(f"Not signed: {', '.join(unsigned)}.")


# Cached: many requests carry the same date, which has a resolution of one second.
@lru_cache(maxsize=256)
def _timestamp(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()


def _check_date(text: str, now: float) -> None:
    try:
        timestamp = _timestamp(text)
    except (ValueError, TypeError, OverflowError):
        raise _not_authenticated("The date of the request is malformed.") from None
    if abs(now - timestamp) > MAX_CLOCK_SKEW_SECONDS:
        raise _not_authenticated("The date of the request is more than five minutes off.")


def exceeds_clock_skew(request: Request, now: float) -> bool:
    """Return whether the date of the request would be rejected at the time ``now``; without a date: no."""
    date = request.headers.get("x-date") or request.headers.get("date")
    try:
        if date is not None:
            _check_date(date, now)
    except ApiError:
        return True
    return False


class SignatureVerifier:
    """Verifier of request signatures.

    :param now: returns the real time, not that of a manual clock, because clients sign with real time
    """

    def __init__(self, keys: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now

    def verify(self, request: Request, *, is_upload: bool = False) -> Principal:
        """Return the principal that signed the request.

        :param is_upload: the body is that of an upload, which clients do not sign
        :raises ApiError: 401
        """
        is_body_signed = request.method in _BODY_METHODS and not is_upload
        parameters = parse_authorization(request.headers.get("authorization", ""))
        if parameters.get("algorithm", "").lower() != "rsa-sha256":
            raise _not_authenticated("The signature's algorithm is not rsa-sha256.")
        if parameters.get("version", "1") != "1":
            raise _not_authenticated("The signature's version is not 1.")
        names = parameters.get("headers", "").lower().split()
        _require_signed(request, names, is_body_signed)
        _check_date(request.headers.get("x-date" if "x-date" in names else "date", ""), self._now())
        key = self._keys.find(parameters.get("keyid", ""))
        if key is None:
            raise _not_authenticated("The key that signed the request is not registered.")
        try:
            signature = base64.b64decode(parameters.get("signature", ""), validate=True)
            signed = signing_string(request, names).encode("latin-1")
            key.public_key.verify(signature, signed, PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):  # not base64, or characters outside of latin-1
            raise _not_authenticated("Failed to verify the HTTP(S) Signature.") from None
        if key.expires is not None and self._now() >= key.expires:
            raise _not_authenticated("The security token has expired.")
        if is_body_signed:
            digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
            if request.headers.get("x-content-sha256") != digest:
                raise _not_authenticated("The x-content-sha256 header does not match the body.")
        return key.principal


class TrustAllVerifier:
    """Verifier that accepts every request. Without a signature, the principal is anonymous."""

    def verify(self, request: Request, *, is_upload: bool = False) -> Principal:
        try:
            key_id = parse_authorization(request.headers.get("authorization", "")).get("keyid", "")
        except ApiError:
            key_id = ""
        if key_id.startswith(TOKEN_PREFIX):
            return principal_of(claims_of(key_id.removeprefix(TOKEN_PREFIX)), _ANONYMOUS)
        tenancy, _, rest = key_id.partition("/")
        user = rest.rpartition("/")[0]
        return Principal(tenancy or _ANONYMOUS.tenancy, user or _ANONYMOUS.user)
