"""SDK client with this package's signer, session, timeouts and User-Agent. Imports the SDK."""

from __future__ import annotations

import threading
from typing import Any

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.credentials import SignIn
from airflow_provider_dataflow.client.auth.signer import SharedSigner
from airflow_provider_dataflow.client.retry import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from airflow_provider_dataflow.client.sdk import oci
from airflow_provider_dataflow.client.sdk_session import SdkSession
from airflow_provider_dataflow.client.user_agent import user_agent


class SharedSignerAdapter(oci.auth.signers.SecurityTokenSigner):
    """SDK signer that signs with the process's shared signer.

    Subclass of ``SecurityTokenSigner``, with which the SDK requires no further configuration.
    """

    def __init__(self, shared: SharedSigner) -> None:
        self.shared = shared
        # Per thread, since another thread may have signed with a newer token.
        self._last = threading.local()

    def __call__(self, request: Any, enforce_content_headers: bool = True) -> Any:
        sign_in = self._last.sign_in = self.shared.current()
        sign_in.sign(request, enforce_content_headers)
        return request

    def refresh_after_401(self) -> bool:
        """Refresh the credentials of this thread's last request. Return whether they changed. Blocks."""
        refused: SignIn | None = getattr(self._last, "sign_in", None)
        return refused is not None and self.shared.refresh_after_401(refused)


def sdk_client(access: Access, component: str) -> Any:
    """Return the SDK's client for Data Flow. Blocks while it signs in.

    :param component: component of Airflow that calls, for the User-Agent.
    :raises InvalidConnection: the connection cannot be used.
    :raises ServiceError: the sign-in failed.
    """
    access.prepare()
    client = oci.data_flow.DataFlowClient(
        {}, service_endpoint=access.endpoint, skip_deserialization=True, **_client_options(access)
    )
    return use_shared_session(client, component)


def object_storage_sdk_client(access: Access, component: str) -> Any:
    """Return the SDK's client for Object Storage. Blocks while it signs in.

    :param component: as for :func:`sdk_client`.
    :raises InvalidConnection: the connection cannot be used.
    :raises ServiceError: the sign-in failed.
    """
    access.prepare()
    client = oci.object_storage.ObjectStorageClient(
        {}, service_endpoint=access.object_storage_url, **_client_options(access)
    )
    return use_shared_session(client, component)


def regional_sdk_client(client_class: Any, access: Access, component: str) -> Any:
    """Return the SDK's client for another service in the region of a connection. Blocks while it signs in.

    :param client_class: for example ``oci.identity.IdentityClient``.
    :param component: as for :func:`sdk_client`.
    :raises InvalidConnection: the connection cannot be used.
    :raises ServiceError: the sign-in failed.
    """
    client = client_class({"region": access.home_region}, **_client_options(access))
    return use_shared_session(client, component)


def _client_options(access: Access) -> dict[str, Any]:
    return {
        "signer": SharedSignerAdapter(access.signer),
        "timeout": (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
        # The SDK's own retries ignore Retry-After and can sleep for 90 s. Its default circuit breaker
        # is shared by all OCI clients of the process.
        "retry_strategy": oci.retry.NoneRetryStrategy(),
        "circuit_breaker_strategy": oci.circuit_breaker.NoCircuitBreakerStrategy(),
    }


def use_shared_session(client: Any, component: str) -> Any:
    """Replace the session and the User-Agent of an SDK client by those of this package. Return the client.

    :param component: as for :func:`sdk_client`.
    """
    base = client.base_client
    session = SdkSession()
    for prefix, adapter in base.session.adapters.items():
        session.mount(prefix, adapter)
    base.session = session
    base.user_agent = user_agent(component)
    return client
