"""The SDK's client, with what is ours in the places of what is the SDK's. Importing this imports the SDK."""

from __future__ import annotations

import threading
from typing import Any

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.credentials import SignIn
from airflow_provider_dataflow.client.auth.signer import SharedSigner
from airflow_provider_dataflow.client.retry import CONNECT_TIMEOUT, READ_TIMEOUT
from airflow_provider_dataflow.client.sdk import oci
from airflow_provider_dataflow.client.sdk_session import Session
from airflow_provider_dataflow.client.user_agent import user_agent


class Signer(oci.auth.signers.SecurityTokenSigner):
    """Hands each request to the shared signer.

    A subclass only because of clients with such a signer the SDK asks for no further configuration.
    """

    def __init__(self, shared: SharedSigner) -> None:
        self.shared = shared
        # Of each thread, what its last request was signed with: another's may be newer already.
        self._used = threading.local()

    def __call__(self, request: Any, enforce_content_headers: bool = True) -> Any:
        sign_in = self._used.sign_in = self.shared.current()
        sign_in.sign(request, enforce_content_headers)
        return request

    def renewed(self) -> bool:
        """After this thread got a 401: whether there is something else now to sign with than what was
        refused."""
        refused: SignIn | None = getattr(self._used, "sign_in", None)
        return refused is not None and self.shared.renewed(refused)


def sdk_client(access: Access, part: str) -> Any:
    """The SDK's client for Data Flow.

    :param part: which part of Airflow calls: in the user agent, so that OCI's audit log tells who cancelled.
    :raises InvalidConnection: something about the connection is wrong.
    :raises ServiceError: who hands out tokens does not answer, or refuses.
    """
    access.prepare()
    client = oci.data_flow.DataFlowClient(
        {},
        signer=Signer(access.signer),
        service_endpoint=access.endpoint,
        timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
        # The SDK's own retries ignore Retry-After and can sleep for 90 s; its default circuit breaker
        # is shared by every OCI client of the process.
        retry_strategy=oci.retry.NoneRetryStrategy(),
        circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
        skip_deserialization=True,
    )
    return with_our_session(client, part)


def with_our_session(client: Any, part: str) -> Any:
    """Give a client of the SDK the session and the User-Agent that all requests have in common.

    :param part: as for :func:`sdk_client`.
    """
    base = client.base_client
    session = Session()
    for prefix, adapter in base.session.adapters.items():
        session.mount(prefix, adapter)
    base.session = session
    base.user_agent = user_agent(part)
    return client
