"""Session for all requests that go through the SDK. Importing this imports the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from airflow_provider_dataflow.client.network_settings import NetworkSettings, network_settings
from airflow_provider_dataflow.client.responses import exchange
from airflow_provider_dataflow.client.sdk import oci
from airflow_provider_dataflow.client.user_agent import user_agent


class Session(oci._vendor.requests.Session):
    """Session with this package's proxies, certificate authorities and User-Agent, that follows no redirect.

    A signature is for one host and path; a redirect would carry it, and a token with it, to another.
    """

    def __init__(self) -> None:
        super().__init__()
        # Everything of the environment comes from network_settings; .netrc belongs to no request of ours.
        self.trust_env = False
        self.headers["User-Agent"] = user_agent()
        self._settings: dict[str, NetworkSettings] = {}

    def get_redirect_target(self, resp: Any) -> None:
        return None

    def send(self, request: Any, **kwargs: Any) -> Any:
        exchange.is_sent = True
        return super().send(request, **kwargs)

    def merge_environment_settings(self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return what a request needs beside its content.

        :param verify: file of the only certificate authorities to trust, if a caller of the SDK knows better.
        """
        scheme, _, rest = url.partition("://")
        base = f"{scheme}://{rest.partition('/')[0]}"
        if base not in self._settings:
            self._settings[base] = network_settings(base)
        settings = self._settings[base]
        if settings.proxy:
            proxies = {**(proxies or {}), scheme: settings.proxy}
        if verify is None or verify is True:
            verify = settings.ca_bundle or True
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


_is_ours: ContextVar[bool] = ContextVar("airflow_provider_dataflow_session", default=False)


@contextmanager
def our_session() -> Iterator[None]:
    """Send what the SDK requests within the block through a :class:`Session`.

    The SDK makes sessions of its own where it fetches tokens, and sends requests while it constructs a
    signer, so that nobody can give it another session. Other threads and users of the SDK are not affected.
    """
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)


_request = oci._vendor.requests.Session.request


def _request_in_context(session: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
    if not _is_ours.get() or isinstance(session, Session):
        return _request(session, method, url, *args, **kwargs)
    ours = Session()
    ours.adapters = session.adapters
    headers = kwargs.pop("headers", None) or {}
    kwargs["headers"] = {name: value for name, value in headers.items() if name.lower() != "user-agent"}
    return _request(ours, method, url, *args, **kwargs)


oci._vendor.requests.Session.request = _request_in_context
