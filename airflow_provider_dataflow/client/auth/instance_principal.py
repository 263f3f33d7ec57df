"""Identity of the compute instance that a worker runs on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dataflow.client.auth.credentials import SignIn, sign_in_with_token
from airflow_provider_dataflow.client.auth.private_key import load_private_key
from airflow_provider_dataflow.client.auth.token_request import requesting_token, retry_strategy

HINT = "It works on OCI compute instances only, with a policy for a dynamic group that contains the instance."
TIMEOUT_SECONDS = (3, 10)
IPV4 = "http://169.254.169.254/opc/v2"
IPV6 = "http://[fd00:c1::a9fe:a9fe]/opc/v2"


@dataclass(frozen=True)
class InstancePrincipal:
    """Token that the instance's certificate is exchanged for.

    Uses the federation client of the SDK without the SDK's signer, which sends each request twice, validates
    the key for 50 ms with the GIL held, and replaces its key before it has the token for it.

    :param delegation_token: token of the user on whose behalf requests are sent.
    :param federation_endpoint: URL that exchanges certificates for tokens. Default: the region's.
    """

    delegation_token: str | None = field(default=None, repr=False)
    federation_endpoint: str | None = None

    @property
    def auth_type(self) -> str:
        return "instance_principal_delegation" if self.delegation_token else "instance_principal"

    def sign_in(self) -> SignIn:
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

        from airflow_provider_dataflow.client.auth.regions import full_name
        from airflow_provider_dataflow.client.sdk import oci

        base = metadata_url()
        with requesting_token(self.auth_type, base, HINT), _session() as session:
            leaf = _Certificate(
                _get(session, f"{base}/identity/cert.pem"), _get(session, f"{base}/identity/key.pem")
            )
            intermediate = _Certificate(_get(session, f"{base}/identity/intermediate.pem"))
            region = full_name(_get(session, f"{base}/instance/region").decode().strip().lower())
            tenancy = oci.auth.auth_utils.get_tenancy_id_from_certificate(
                leaf.get_certificate_as_certificate()
            )
        endpoint = self.federation_endpoint or f"{oci.regions.endpoint_for('auth', region)}/v1/x509"
        with requesting_token(self.auth_type, endpoint, HINT):
            key = generate_private_key(public_exponent=65537, key_size=2048)
            client = oci.auth.federation_client.X509FederationClient(
                federation_endpoint=endpoint,
                tenancy_id=tenancy,
                session_key_supplier=_SessionKey(key),
                leaf_certificate_retriever=leaf,
                intermediate_certificate_retrievers=[intermediate],
                retry_strategy=retry_strategy(),
                # The default circuit breaker is shared by all clients of the process.
                circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
            )
            return sign_in_with_token(client.get_security_token(), key, region, self.delegation_token)


def metadata_url() -> str:
    """Return the URL of the instance metadata service, by the rules of the SDK."""
    if given := os.environ.get("OCI_METADATA_BASE_URL", "").strip():
        return given.rstrip("/")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("169.254.169.254", 80))  # sends nothing; fails if there is no route
        except OSError:
            return IPV6
    return IPV4


@contextmanager
def _session() -> Iterator[Any]:
    from airflow_provider_dataflow.client.sdk_session import SdkSession

    with SdkSession() as session:
        session.headers["Authorization"] = "Bearer Oracle"
        yield session


def _get(session: Any, url: str) -> bytes:
    from airflow_provider_dataflow.client.sdk import oci

    def get() -> bytes:
        response = session.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        if response.status_code != 200:
            raise oci.exceptions.ServiceError(
                response.status_code, None, response.headers, f"GET {url} was refused"
            )
        return bytes(response.content)

    return bytes(retry_strategy().make_retrying_call(get))


class _Certificate:
    """Certificate with the interface that the SDK's federation client expects."""

    def __init__(self, pem: bytes, key_pem: bytes | None = None) -> None:
        self._pem = pem.strip()
        self._key = (
            load_private_key(key_pem, None, field="the instance's key.pem", unlocked_by="its passphrase")
            if key_pem is not None
            else None
        )

    def refresh(self) -> None:
        pass

    def get_certificate_raw(self) -> bytes:
        return self._pem

    def get_certificate_as_certificate(self) -> Any:
        from cryptography.x509 import load_pem_x509_certificate

        return load_pem_x509_certificate(self._pem)

    def get_private_key(self) -> Any:
        return self._key


class _SessionKey:
    """Private key with the interface that the SDK's federation client expects."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def refresh(self) -> None:
        pass

    def get_key_pair(self) -> dict[str, Any]:
        return {"private": self._key, "public": self._key.public_key()}
