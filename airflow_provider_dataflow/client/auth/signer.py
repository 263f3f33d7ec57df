"""One signer for each way into OCI, shared by all clients of a process, and renewed before it runs out.

What signs is never changed. It is replaced, by what a thread has built meanwhile. So nobody waits for a token
who has a good one, no signature is made with half of the old and half of the new, and an event loop never
stands still. (The SDK's own signers change themselves while others sign with them.)
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

from airflow_provider_dataflow.client.auth.credentials import DELEGATION_HEADER, Credentials, SignIn
from airflow_provider_dataflow.client.threads import known_to_loop

log = logging.getLogger(__name__)

SIGNED_HEADERS = (
    "date",
    "host",
    "content-type",
    "content-length",
    "x-content-sha256",
    "authorization",
    DELEGATION_HEADER,
)
#: Seconds until the next attempt, if a renewal has failed or has changed nothing, and after a refusal.
PAUSE = 10
#: So many ways into OCI are kept in a process; the one that was not used for longest makes room.
MAX_SHARED = 64


class SharedSigner:
    """Signs for all clients that come in by the same way.

    :param credentials: how to sign in.
    :param reload: reads the credentials anew, for when they are refused. Default: they stay as they are.
    """

    def __init__(self, credentials: Credentials, reload: Callable[[], Credentials] | None = None) -> None:
        self._credentials = credentials
        self._reload = reload or (lambda: credentials)
        # A signal handler may need it while the thread that it interrupts has it.
        self._lock = threading.RLock()
        self._sign_in: SignIn | None = None
        self._renewal: Future[bool] | None = None
        self._next_early = 0.0
        self._next_expired = 0.0
        self._next_refused = 0.0

    def current(self) -> SignIn:
        """What to sign with now. Blocks while there is nothing that is still good.

        :raises InvalidConnection: the credentials are malformed.
        :raises ServiceError: who hands out tokens does not answer, or refuses.
        """
        sign_in = self._sign_in
        if self._is_needed(sign_in):
            self._renew(sign_in).result()
        return self._latest()

    async def acurrent(self) -> SignIn:
        """As :meth:`current`, for an event loop."""
        sign_in = self._sign_in
        if self._is_needed(sign_in):
            await asyncio.wrap_future(self._renew(sign_in))
        return self._latest()

    def _is_needed(self, sign_in: SignIn | None) -> bool:
        """Whether nothing can be signed before a renewal.

        By a clock that is wrong all tokens may have ended when they come; the service has the last word then.
        """
        return sign_in is None or (sign_in.is_expired and time.monotonic() >= self._next_expired)

    def _latest(self) -> SignIn:
        sign_in = self._sign_in
        assert sign_in is not None  # noqa: S101 - a renewal without a result has raised
        if sign_in.is_due and self._renewal is None and time.monotonic() >= self._next_early:
            try:
                self._renew(sign_in)
            except RuntimeError as error:
                log.warning("OCI: the sign-in could not be renewed: %s", error)
        return sign_in

    def renewed(self, refused: SignIn) -> bool:
        """After a 401: whether there is something else now to sign with than what was refused. Blocks."""
        renewal = self._renew_refused(refused)
        return renewal.result() if isinstance(renewal, Future) else renewal

    async def arenewed(self, refused: SignIn) -> bool:
        """As :meth:`renewed`, for an event loop."""
        renewal = self._renew_refused(refused)
        return await asyncio.wrap_future(renewal) if isinstance(renewal, Future) else renewal

    def _renew_refused(self, refused: SignIn) -> Future[bool] | bool:
        with self._lock:
            if self._sign_in is not refused:
                return True
            if self._renewal is None:
                if time.monotonic() < self._next_refused:
                    return False
                self._next_refused = time.monotonic() + PAUSE
            return self._renew(refused)

    def _renew(self, old: SignIn | None) -> Future[bool]:
        """Begin to build a successor, or join who has begun already."""
        with self._lock:
            if self._renewal is not None:
                return self._renewal
            renewal: Future[bool] = Future()
            if self._sign_in is not old:
                renewal.set_result(True)
                return renewal
            # Nobody who stops waiting may stop it for the others.
            renewal.set_running_or_notify_cancel()
            self._renewal = renewal
        try:
            threading.Thread(
                target=copy_context().run,
                args=(known_to_loop(self._build), renewal, old),
                name="oci-sign-in",
                daemon=True,
            ).start()
        except BaseException as error:
            # A machine may be out of threads for a while; nobody is to wait for one that never began.
            with self._lock:
                self._renewal = None
                self._next_early = time.monotonic() + PAUSE
            if not renewal.done():
                renewal.set_exception(error)
            raise
        return renewal

    def _build(self, renewal: Future[bool], old: SignIn | None) -> None:
        try:
            credentials = self._reload() if old is not None else self._credentials
            new = credentials.sign_in()
        except BaseException as error:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
            if old is not None and not old.is_expired:
                log.warning("OCI: the sign-in could not be renewed: %s", error)
            with self._lock:
                self._renewal = None
                self._next_early = time.monotonic() + PAUSE
            renewal.set_exception(error)
            return
        changed = old is None or new.key_id != old.key_id
        with self._lock:
            self._renewal = None
            if changed:
                self._sign_in = new
            if not changed or new.is_due:
                self._next_early = time.monotonic() + PAUSE
            if not changed or new.is_expired:
                self._next_expired = time.monotonic() + PAUSE
        renewal.set_result(changed)


def sign_aiohttp(sign_in: SignIn, request: Any) -> None:
    """Add the signature to an ``aiohttp.ClientRequest`` that is about to be sent."""
    body = getattr(request.body, "_value", request.body) or b""
    draft = SimpleNamespace(
        method=request.method,
        url=str(request.url),
        # Byte for byte what goes over the wire: a URL that is normalised after signing is refused.
        path_url=request.url.raw_path_qs,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
    # What an earlier attempt has left would be kept.
    for name in ("date", "authorization"):
        draft.headers.pop(name, None)
    sign_in.sign(draft)
    for name in SIGNED_HEADERS:
        if name in draft.headers:
            request.headers[name] = draft.headers[name]


_shared: OrderedDict[Hashable, SharedSigner] = OrderedDict()
_shared_lock = threading.RLock()


def _share_nothing_yet() -> None:
    """A forked process has none of its parent's threads: a renewal that was under way would never end."""
    global _shared, _shared_lock
    _shared = OrderedDict()
    _shared_lock = threading.RLock()


os.register_at_fork(after_in_child=_share_nothing_yet)


def shared_signer(
    key: Hashable, credentials: Credentials, reload: Callable[[], Credentials] | None = None
) -> SharedSigner:
    """The process's one signer for these credentials.

    :param key: where they come from, such as the connection's id; others may have the same.
    :param reload: reads them anew from there.
    """
    with _shared_lock:
        signer = _shared.pop((key, credentials), None) or SharedSigner(credentials, reload)
        _shared[key, credentials] = signer
        while len(_shared) > MAX_SHARED:
            _shared.popitem(last=False)
        return signer
