"""What every way to sign in has in common."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from airflow_provider_dataflow.client.auth.security_token import expiry

#: Seconds before its end, at most, at which a token is renewed; a short-lived one in its last quarter.
EARLY = 300
#: Seconds before its end, at most, from which on nothing is signed with a token: a request takes time.
MARGIN = 30

GENERIC_HEADERS = ["date", "(request-target)", "host"]
BODY_HEADERS = ["content-length", "content-type", "x-content-sha256"]
DELEGATION_HEADER = "opc-obo-token"


class Credentials(Protocol):
    """One way to sign in. Hashable, so that what is built from it can be shared."""

    def sign_in(self) -> SignIn:
        """Read what has to be read, ask whom has to be asked, and build a signer.

        Costs CPU, and reads files or uses the network, so never on an event loop.

        :raises InvalidConnection: a field, a file or a variable is missing or malformed.
        :raises ServiceError: who hands out tokens does not answer, or refuses.
        """


@dataclass(frozen=True)
class SignIn:
    """A signer, and how long it is good for. It is never changed, only replaced by another.

    :param signer: of the SDK.
    :param region: where that identity is at home, if that is known.
    :param delegation_token: of the user on whose behalf requests are made.
    """

    signer: Any = field(repr=False)
    region: str | None = None
    delegation_token: str | None = field(default=None, repr=False)
    made_at: float = field(default_factory=time.time)

    @cached_property
    def expires_at(self) -> float | None:
        """End of the token's life in seconds since the epoch; an API key has none."""
        return expiry(self.signer.api_key)

    @property
    def is_due(self) -> bool:
        """Whether it should be replaced."""
        return self._ends_within(EARLY, 1 / 4)

    @property
    def is_expired(self) -> bool:
        """Whether it is over, or will be before a request arrives."""
        return self._ends_within(MARGIN, 1 / 20)

    def _ends_within(self, seconds: float, share: float) -> bool:
        """:param share: of its life, if that is less."""
        if self.expires_at is None:
            return False
        life = max(self.expires_at - self.made_at, 0)
        return time.time() >= self.expires_at - min(seconds, life * share)

    @property
    def key_id(self) -> str:
        """What a signature names as its key: the token itself, if there is one."""
        return str(self.signer.api_key)

    def sign(self, request: Any, enforce_content_headers: bool = True) -> None:
        """Sign a request as the SDK knows it: ``method``, ``url``, ``path_url``, ``headers``, ``body``."""
        if self.delegation_token:
            request.headers[DELEGATION_HEADER] = self.delegation_token
        self.signer.do_request_sign(request, enforce_content_headers)


def signing_with(
    key_id: str, private_key: Any, region: str | None = None, delegation_token: str | None = None
) -> SignIn:
    """Sign with a key that was loaded already.

    :param key_id: of an API key, or ``ST$`` and a token.
    """
    from airflow_provider_dataflow.client.sdk import oci

    signer = oci.signer.AbstractBaseSigner()
    signer.api_key = key_id
    signer.private_key = private_key
    headers = [*GENERIC_HEADERS, DELEGATION_HEADER] if delegation_token else GENERIC_HEADERS
    signer.create_signers(key_id, private_key, headers, BODY_HEADERS)
    return SignIn(signer, region, delegation_token)


def signing_with_token(
    token: str, private_key: Any, region: str | None = None, delegation_token: str | None = None
) -> SignIn:
    """Sign with a token and the key that it was issued for."""
    return signing_with(f"ST${token}", private_key, region, delegation_token)


def frozen(signer: Any, region: str | None = None) -> SignIn:
    """Sign with what one of the SDK's signers has now: it may change itself while others sign with it."""
    return signing_with(signer.api_key, signer.private_key, region)
