"""Identity of the resource that a worker runs in: resource principal, or workload identity of a pod."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from airflow_provider_dataflow.client.auth.config_file import read_file
from airflow_provider_dataflow.client.auth.credentials import SignIn, sign_in_with_token, snapshot_of
from airflow_provider_dataflow.client.auth.private_key import load_private_key
from airflow_provider_dataflow.client.auth.security_token import check_pair, read_consistent_pair
from airflow_provider_dataflow.client.auth.token_request import requesting_token, retry_strategy
from airflow_provider_dataflow.exceptions import InvalidConnection

PREFIX = "OCI_RESOURCE_PRINCIPAL_"
VERSION = f"{PREFIX}VERSION"
PARENT_URL = f"{PREFIX}RPT_URL_FOR_PARENT_RESOURCE"
VERSIONS = ("1.1", "2.1", "2.1.1", "2.1.2", "2.2", "3.0")

RESOURCE_HINT = "It works inside OCI resources only, which set the variables OCI_RESOURCE_PRINCIPAL_*."
WORKLOAD_HINT = (
    "It works in pods of enhanced OKE clusters only, with a policy for the workload's service account."
)


@dataclass(frozen=True)
class ResourcePrincipal:
    """Resource principal of the environment variables ``OCI_RESOURCE_PRINCIPAL_*``.

    :param delegation_token: token of the user on whose behalf requests are sent. Needs version 2.2.
    """

    delegation_token: str | None = field(default=None, repr=False)

    @property
    def auth_type(self) -> str:
        return "resource_principal_delegation" if self.delegation_token else "resource_principal"

    @property
    def parent_rpt_url(self) -> str | None:
        """Header ``opc-parent-rpt-url`` of CreateRun, for a nested resource principal."""
        return os.environ.get(PARENT_URL) if os.environ.get(VERSION) == "3.0" else None

    def sign_in(self) -> SignIn:
        version = os.environ.get(VERSION)
        if version not in VERSIONS:
            found = f"got {version!r}" if version else "it is not set"
            raise InvalidConnection(
                f"auth_type {self.auth_type}: {VERSION}: expected one of {', '.join(VERSIONS)}; {found}. "
                + RESOURCE_HINT
            )
        if version == "2.2":
            return read_consistent_pair(self._version_2_2)
        if self.delegation_token:
            raise InvalidConnection(
                f"auth_type {self.auth_type}: {VERSION}: expected 2.2, which supports delegation; "
                f"got {version!r}"
            )
        from airflow_provider_dataflow.client.sdk import oci

        endpoint = os.environ.get(PARENT_URL) or os.environ.get(f"{PREFIX}RPT_ENDPOINT") or "unknown"
        with requesting_token(self.auth_type, endpoint, RESOURCE_HINT):
            signer = oci.auth.signers.get_resource_principals_signer()
        return snapshot_of(signer, getattr(signer, "region", None))

    def _version_2_2(self) -> SignIn:
        """Read token and key from the variables, or from the files that they name."""
        token = self._value(f"{PREFIX}RPST").strip()
        pass_phrase = f"{PREFIX}PRIVATE_PEM_PASSPHRASE"
        key = load_private_key(
            self._value(f"{PREFIX}PRIVATE_PEM"),
            (self._value(pass_phrase).strip() if os.environ.get(pass_phrase) else None),
            field=f"{PREFIX}PRIVATE_PEM",
            unlocked_by=pass_phrase,
        )
        check_pair(
            token, key, field=f"auth_type {self.auth_type}: {PREFIX}RPST", key_field=f"{PREFIX}PRIVATE_PEM"
        )
        return sign_in_with_token(token, key, region_of_environment(), self.delegation_token)

    def _value(self, variable: str) -> str:
        value = os.environ.get(variable)
        if not value:
            raise InvalidConnection(f"auth_type {self.auth_type}: {variable}: not set")
        return read_file(value, variable) if os.path.isabs(value) else value


@dataclass(frozen=True)
class WorkloadIdentity:
    """Token that the OKE cluster's proxy exchanges for the pod's service account."""

    auth_type = "oke_workload_identity"

    def sign_in(self) -> SignIn:
        host = os.environ.get("KUBERNETES_SERVICE_HOST")
        if not host:
            raise InvalidConnection(
                f"auth_type {self.auth_type}: KUBERNETES_SERVICE_HOST: not set. {WORKLOAD_HINT}"
            )
        from airflow_provider_dataflow.client.sdk import oci

        with requesting_token(self.auth_type, host, WORKLOAD_HINT):
            signer = oci.auth.signers.get_oke_workload_identity_resource_principal_signer(
                retry_strategy=retry_strategy()
            )
        return snapshot_of(signer, region_of_environment())


def region_of_environment() -> str | None:
    from airflow_provider_dataflow.client.auth.regions import full_name

    region = os.environ.get(f"{PREFIX}REGION")
    return full_name(region) if region else None
