"""HTTP session for all requests through the SDK. Imports the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from airflow_provider_dataflow.client.network_settings import NetworkSettings, network_settings
from airflow_provider_dataflow.client.responses import request_progress
from airflow_provider_dataflow.client.sdk import oci
from airflow_provider_dataflow.client.user_agent import user_agent


class SdkSession(oci._vendor.requests.Session):
    """Session with this package's proxies, certificate authorities and User-Agent. Follows no redirects.

    A redirect would send the signature and the token to another host.
    """

    # A copy has these attributes only. The SDK copies the session after a 413, some 412s, and bad headers.
    __attrs__ = [*oci._vendor.requests.Session.__attrs__, "_settings"]  # noqa: RUF012 - as in requests

    def __init__(self) -> None:
        super().__init__()
        # network_settings reads the environment instead. Also prevents credentials from .netrc.
        self.trust_env = False
        self.headers["User-Agent"] = user_agent()
        self._settings: dict[str, NetworkSettings] = {}

    def get_redirect_target(self, resp: Any) -> None:
        return None

    def send(self, request: Any, **kwargs: Any) -> Any:
        request_progress.is_sent = True
        return super().send(request, **kwargs)

    def merge_environment_settings(self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return proxies, certificates and other options of a request.

        :param verify: certificate authorities that the SDK's caller has chosen; they win.
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


_is_redirected: ContextVar[bool] = ContextVar("airflow_provider_dataflow_session", default=False)


@contextmanager
def redirect_to_sdk_session() -> Iterator[None]:
    """Send all of the SDK's requests within the block through a :class:`SdkSession`.

    Where the SDK fetches tokens, it creates its own sessions and sends requests from constructors, so no
    session can be passed in. Other threads and other users of the SDK are not affected.
    """
    token = _is_redirected.set(True)
    try:
        yield
    finally:
        _is_redirected.reset(token)


_request = oci._vendor.requests.Session.request


def _request_in_context(session: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
    if not _is_redirected.get() or isinstance(session, SdkSession):
        return _request(session, method, url, *args, **kwargs)
    ours = SdkSession()
    ours.adapters = session.adapters
    headers = kwargs.pop("headers", None) or {}
    kwargs["headers"] = {name: value for name, value in headers.items() if name.lower() != "user-agent"}
    return _request(ours, method, url, *args, **kwargs)


oci._vendor.requests.Session.request = _request_in_context
