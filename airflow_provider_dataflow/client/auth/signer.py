"""Signers that all clients of a process share, with a refresh before their token expires.

A refresh replaces the immutable :class:`.SignIn`, which a thread builds in the background. So requests do not
wait while their token is valid, no signature mixes an old token with a new key, and an event loop never
blocks. The SDK's own signers change their key while other threads sign with it.
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
from airflow_provider_dataflow.client.threads import with_event_loop

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
#: Pause after a refresh that failed or changed nothing, and between two refreshes after a 401.
REFRESH_PAUSE_SECONDS = 10.0
#: Signers that a process keeps; the least recently used one is dropped.
MAX_SHARED_SIGNERS = 64


class SharedSigner:
    """Signer of all clients with the same credentials.

    :param credentials: how to sign in.
    :param reload: reads the credentials again, for a refresh. Default: they do not change.
    :param refresh_pause: seconds after a refresh that failed or changed nothing, and between two refreshes
        after a 401.
    """

    def __init__(
        self,
        credentials: Credentials,
        reload: Callable[[], Credentials] | None = None,
        refresh_pause: float = REFRESH_PAUSE_SECONDS,
    ) -> None:
        self._credentials = credentials
        self._refresh_pause = refresh_pause
        self._reload = reload or (lambda: credentials)
        # Reentrant: a signal handler may sign while the thread that it interrupts holds the lock.
        self._lock = threading.RLock()
        self._sign_in: SignIn | None = None
        self._refresh: Future[bool] | None = None
        self._next_advisory = 0.0
        self._next_mandatory = 0.0
        self._next_after_401 = 0.0

    def current(self) -> SignIn:
        """Return a valid sign-in. Blocks while there is none.

        :raises InvalidConnection: the credentials are malformed.
        :raises ServiceError: the token service did not respond, or refused.
        """
        sign_in = self._sign_in
        if self._is_refresh_mandatory(sign_in):
            self._start_refresh(sign_in).result()
        return self._current_and_refresh_if_due()

    async def current_async(self) -> SignIn:
        """Return a valid sign-in, like :meth:`current`, without blocking the event loop."""
        sign_in = self._sign_in
        if self._is_refresh_mandatory(sign_in):
            await asyncio.wrap_future(self._start_refresh(sign_in))
        return self._current_and_refresh_if_due()

    def _is_refresh_mandatory(self, sign_in: SignIn | None) -> bool:
        """Return whether a refresh must come before the next signature.

        If this machine's clock is wrong, even a new token looks expired. It is used until the pause after its
        refresh is over, and the service decides whether it is valid.
        """
        return sign_in is None or (sign_in.is_expired and time.monotonic() >= self._next_mandatory)

    def _current_and_refresh_if_due(self) -> SignIn:
        sign_in = self._sign_in
        assert sign_in is not None  # noqa: S101 - a first refresh that fails raises
        if sign_in.is_refresh_due and self._refresh is None and time.monotonic() >= self._next_advisory:
            try:
                self._start_refresh(sign_in)
            except RuntimeError as error:
                self._log_failed_refresh(error)
        return sign_in

    def refresh_after_401(self, refused: SignIn) -> bool:
        """Refresh, unless the refused sign-in was replaced already. Return whether it has changed. Blocks.

        :param refused: the sign-in of the refused request.
        """
        refresh = self._start_refresh_after_401(refused)
        return refresh.result() if isinstance(refresh, Future) else refresh

    async def refresh_after_401_async(self, refused: SignIn) -> bool:
        """Refresh like :meth:`refresh_after_401`, without blocking the event loop."""
        refresh = self._start_refresh_after_401(refused)
        return await asyncio.wrap_future(refresh) if isinstance(refresh, Future) else refresh

    def _start_refresh_after_401(self, refused: SignIn) -> Future[bool] | bool:
        """Start a refresh if one is needed and allowed; otherwise return whether the sign-in has changed."""
        with self._lock:
            if self._sign_in is not refused:
                return True
            if self._refresh is None:
                if time.monotonic() < self._next_after_401:
                    return False
                self._next_after_401 = time.monotonic() + self._refresh_pause
            return self._start_refresh(refused)

    def _start_refresh(self, old: SignIn | None) -> Future[bool]:
        """Start a refresh, or join the one that is running. The result is whether the sign-in changed."""
        with self._lock:
            if self._refresh is not None:
                return self._refresh
            refresh: Future[bool] = Future()
            if self._sign_in is not old:
                refresh.set_result(True)
                return refresh
            # A running future cannot be cancelled by one of several waiters.
            refresh.set_running_or_notify_cancel()
            self._refresh = refresh
        try:
            threading.Thread(
                target=copy_context().run,
                args=(with_event_loop(self._run_refresh), refresh, old),
                name="oci-sign-in",
                daemon=True,
            ).start()
        except BaseException as error:
            # The system is out of threads. Fail at once, since no thread would ever set a result.
            with self._lock:
                self._refresh = None
                self._next_advisory = time.monotonic() + self._refresh_pause
            if not refresh.done():
                refresh.set_exception(error)
            raise
        return refresh

    def _run_refresh(self, refresh: Future[bool], old: SignIn | None) -> None:
        try:
            credentials = self._reload() if old is not None else self._credentials
            new = credentials.sign_in()
        except BaseException as error:  # noqa: BLE001 - passed on to the waiters
            if old is not None and not old.is_expired:
                self._log_failed_refresh(error)
            with self._lock:
                self._refresh = None
                self._next_advisory = time.monotonic() + self._refresh_pause
            refresh.set_exception(error)
            return
        changed = old is None or not new.is_same_as(old)
        with self._lock:
            self._refresh = None
            if changed:
                self._sign_in = new
            if not changed or new.is_refresh_due:
                self._next_advisory = time.monotonic() + self._refresh_pause
            if not changed or new.is_expired:
                self._next_mandatory = time.monotonic() + self._refresh_pause
        refresh.set_result(changed)

    def _log_failed_refresh(self, error: BaseException) -> None:
        log.warning(
            "OCI sign-in: refresh failed; the old token is still valid, retrying in %g s: %s",
            self._refresh_pause,
            error,
        )


def sign_aiohttp(sign_in: SignIn, request: Any) -> None:
    """Sign an ``aiohttp.ClientRequest`` right before it is sent."""
    body = getattr(request.body, "_value", request.body) or b""
    draft = SimpleNamespace(
        method=request.method,
        url=str(request.url),
        # The bytes that are sent: the service refuses a URL that is normalised after signing.
        path_url=request.url.raw_path_qs,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
    # The SDK would keep these headers of an earlier attempt.
    for name in ("date", "authorization"):
        draft.headers.pop(name, None)
    sign_in.sign(draft)
    for name in SIGNED_HEADERS:
        if name in draft.headers:
            request.headers[name] = draft.headers[name]


_shared: OrderedDict[Hashable, SharedSigner] = OrderedDict()
_shared_lock = threading.RLock()


def _reset_after_fork() -> None:
    """Drop all signers: a forked process lacks the threads of refreshes that are running."""
    global _shared, _shared_lock
    _shared = OrderedDict()
    _shared_lock = threading.RLock()


os.register_at_fork(after_in_child=_reset_after_fork)


def shared_signer(
    key: Hashable, credentials: Credentials, reload: Callable[[], Credentials] | None = None
) -> SharedSigner:
    """Return the process's signer for these credentials.

    :param key: source of the credentials, such as the connection's id. Equal credentials of another
        source get a signer of their own, since ``reload`` differs.
    :param reload: reads the credentials again from their source, for a refresh.
    """
    with _shared_lock:
        signer = _shared.pop((key, credentials), None) or SharedSigner(credentials, reload)
        _shared[key, credentials] = signer
        while len(_shared) > MAX_SHARED_SIGNERS:
            _shared.popitem(last=False)
        return signer
