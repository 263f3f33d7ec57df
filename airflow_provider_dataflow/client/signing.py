"""Signing what aiohttp sends with the signers of the OCI SDK, which know only requests."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

SIGNED_HEADERS = ("date", "host", "content-type", "content-length", "x-content-sha256", "authorization")


class RequestSigner:
    """One signer, shared by all requests of a connection.

    The lock is around the whole signature: the SDK's token signers change their key while they refresh, and
    a signature made meanwhile matches neither the old token nor the new.
    """

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        self._lock = threading.Lock()

    def sign(self, request: Any) -> None:
        """Add the signature to an ``aiohttp.ClientRequest`` that is about to be sent."""
        draft = SimpleNamespace(
            method=request.method,
            url=str(request.url),
            # Byte for byte what goes over the wire: a URL that is normalised after signing is refused.
            path_url=request.url.raw_path_qs,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=None,
        )
        with self._lock:
            # Calling it, rather than its do_request_sign, is what refreshes a token.
            self._signer(draft)
        for name in SIGNED_HEADERS:
            if name in draft.headers:
                request.headers[name] = draft.headers[name]
