"""Result of a sign-in: a signer and its expiry."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from airflow_provider_dataflow.client.auth.security_token import expiry

#: Refresh a token this long before it expires, while the old one is still used.
ADVISORY_REFRESH_SECONDS = 300
#: Stop using a token this long before it expires; the request must arrive while it is valid.
MANDATORY_REFRESH_SECONDS = 30
#: The same as shares of a token's lifetime, for tokens that are valid for a few minutes only.
ADVISORY_REFRESH_SHARE, MANDATORY_REFRESH_SHARE = 1 / 4, 1 / 20

GENERIC_HEADERS = ["date", "(request-target)", "host"]
BODY_HEADERS = ["content-length", "content-type", "x-content-sha256"]
DELEGATION_HEADER = "opc-obo-token"


class Credentials(Protocol):
    """Way to sign in. Hashable, so that equal credentials share a signer."""

    def sign_in(self) -> SignIn:
        """Read the key or request a token, and return a signer. Blocks, so not for an event loop.

        :raises InvalidConnection: a field, a file or a variable is missing or malformed.
        :raises ServiceError: the token service did not respond, or refused.
        """


@dataclass(frozen=True)
class SignIn:
    """Signer and its expiry. Immutable: a refresh replaces it.

    :param signer: the SDK's signer.
    :param region: region of the identity, if it is known.
    :param delegation_token: token of the user on whose behalf requests are sent.
    """

    signer: Any = field(repr=False)
    region: str | None = None
    delegation_token: str | None = field(default=None, repr=False)
    created_at: float = field(default_factory=time.time)

    @cached_property
    def expires_at(self) -> float | None:
        """Expiry of the token, in seconds since the epoch. ``None`` for an API key."""
        return expiry(self.signer.api_key)

    @property
    def is_refresh_due(self) -> bool:
        """Whether to refresh in the background (advisory)."""
        return self._expires_within(ADVISORY_REFRESH_SECONDS, ADVISORY_REFRESH_SHARE)

    @property
    def is_expired(self) -> bool:
        """Whether to refresh before the next request (mandatory)."""
        return self._expires_within(MANDATORY_REFRESH_SECONDS, MANDATORY_REFRESH_SHARE)

    def _expires_within(self, seconds: float, share: float) -> bool:
        """:param share: share of the token's lifetime, if that is shorter than ``seconds``."""
        if self.expires_at is None:
            return False
        lifetime = max(self.expires_at - self.created_at, 0)
        return time.time() >= self.expires_at - min(seconds, lifetime * share)

    @property
    def key_id(self) -> str:
        """Key id in the signature; contains the token, if there is one."""
        return str(self.signer.api_key)

    def is_same_as(self, other: SignIn) -> bool:
        """Return whether both sign requests alike, and have the same region.

        The key id alone does not tell: a delegation token, a region and a key that was read while its files
        were being rewritten may change without it.
        """
        return self._parts == other._parts

    @property
    def _parts(self) -> tuple[Any, ...]:
        public_key = self.signer.private_key.public_key().public_numbers()
        return self.key_id, public_key, self.delegation_token, self.region

    def sign(self, request: Any, enforce_content_headers: bool = True) -> None:
        """Sign a request with the attributes ``method``, ``url``, ``path_url``, ``headers`` and ``body``."""
        if self.delegation_token:
            request.headers[DELEGATION_HEADER] = self.delegation_token
        self.signer.do_request_sign(request, enforce_content_headers)


def sign_in_with_key(
    key_id: str, private_key: Any, region: str | None = None, delegation_token: str | None = None
) -> SignIn:
    """Return a sign-in with a private key.

    :param key_id: key id of an API key, or ``ST$`` and a token.
    """
    from airflow_provider_dataflow.client.sdk import oci

    signer = oci.signer.AbstractBaseSigner()
    signer.api_key = key_id
    signer.private_key = private_key
    headers = [*GENERIC_HEADERS, DELEGATION_HEADER] if delegation_token else GENERIC_HEADERS
    signer.create_signers(key_id, private_key, headers, BODY_HEADERS)
    return SignIn(signer, region, delegation_token)


def sign_in_with_token(
    token: str, private_key: Any, region: str | None = None, delegation_token: str | None = None
) -> SignIn:
    """Return a sign-in with a token and the private key that it was issued for."""
    return sign_in_with_key(f"ST${token}", private_key, region, delegation_token)


def snapshot_of(signer: Any, region: str | None = None) -> SignIn:
    """Return a sign-in with the current key of an SDK signer, which changes its key while others sign."""
    return sign_in_with_key(signer.api_key, signer.private_key, region)
