"""The identity of the resource that a worker runs in: a resource principal, or a pod's workload identity."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from airflow_provider_dataflow.client.auth.config_file import read_file
from airflow_provider_dataflow.client.auth.credentials import SignIn, frozen, signing_with_token
from airflow_provider_dataflow.client.auth.private_key import load_private_key
from airflow_provider_dataflow.client.auth.security_token import check_pair, read_pair
from airflow_provider_dataflow.client.auth.token_request import retry_strategy, signing_in
from airflow_provider_dataflow.exceptions import InvalidConnection

PREFIX = "OCI_RESOURCE_PRINCIPAL_"
VERSION = f"{PREFIX}VERSION"
PARENT_URL = f"{PREFIX}RPT_URL_FOR_PARENT_RESOURCE"
VERSIONS = ("1.1", "2.1", "2.1.1", "2.1.2", "2.2", "3.0")

RESOURCE_HINT = "It works inside of OCI resources that set OCI_RESOURCE_PRINCIPAL_VERSION and its like."
WORKLOAD_HINT = (
    "It works in pods of enhanced OKE clusters only, with a policy for the workload's service account."
)


@dataclass(frozen=True)
class ResourcePrincipal:
    """What the environment variables ``OCI_RESOURCE_PRINCIPAL_*`` say.

    :param delegation_token: of a user on whose behalf requests are made; with version 2.2 only.
    """

    delegation_token: str | None = field(default=None, repr=False)

    @property
    def kind(self) -> str:
        return "resource_principal_delegation" if self.delegation_token else "resource_principal"

    @property
    def parent_rpt_url(self) -> str | None:
        """What CreateRun has to be told of a nested resource principal (``opc-parent-rpt-url``)."""
        return os.environ.get(PARENT_URL) if os.environ.get(VERSION) == "3.0" else None

    def sign_in(self) -> SignIn:
        version = os.environ.get(VERSION)
        if version not in VERSIONS:
            said = f"got {version!r}" if version else "it is not set"
            raise InvalidConnection(
                f"auth_type {self.kind}: {VERSION}: expected one of {', '.join(VERSIONS)}; {said}. "
                + RESOURCE_HINT
            )
        if version == "2.2":
            return read_pair(self._version_2_2)
        if self.delegation_token:
            raise InvalidConnection(
                f"auth_type {self.kind}: {VERSION}: expected 2.2, which delegation needs; got {version!r}"
            )
        from airflow_provider_dataflow.client.sdk import oci

        endpoint = os.environ.get(PARENT_URL) or os.environ.get(f"{PREFIX}RPT_ENDPOINT") or "unknown"
        with signing_in(self.kind, endpoint, RESOURCE_HINT):
            signer = oci.auth.signers.get_resource_principals_signer()
        return frozen(signer, getattr(signer, "region", None))

    def _version_2_2(self) -> SignIn:
        """Token and key are in the variables, or in files that they name and that are rewritten in time."""
        token = self._value(f"{PREFIX}RPST").strip()
        pass_phrase = f"{PREFIX}PRIVATE_PEM_PASSPHRASE"
        key = load_private_key(
            self._value(f"{PREFIX}PRIVATE_PEM"),
            (self._value(pass_phrase).strip() if os.environ.get(pass_phrase) else None),
            field=f"{PREFIX}PRIVATE_PEM",
            unlocked_by=pass_phrase,
        )
        check_pair(token, key, field=f"auth_type {self.kind}: {PREFIX}RPST", key_field=f"{PREFIX}PRIVATE_PEM")
        return signing_with_token(token, key, region_of_environment(), self.delegation_token)

    def _value(self, variable: str) -> str:
        value = os.environ.get(variable)
        if not value:
            raise InvalidConnection(f"auth_type {self.kind}: {variable}: not set")
        return read_file(value, variable) if os.path.isabs(value) else value


@dataclass(frozen=True)
class WorkloadIdentity:
    """The service account of a pod in OKE, exchanged for a token by the cluster's proxy."""

    kind = "oke_workload_identity"

    def sign_in(self) -> SignIn:
        host = os.environ.get("KUBERNETES_SERVICE_HOST")
        if not host:
            raise InvalidConnection(
                f"auth_type {self.kind}: KUBERNETES_SERVICE_HOST: not set. {WORKLOAD_HINT}"
            )
        from airflow_provider_dataflow.client.sdk import oci

        with signing_in(self.kind, host, WORKLOAD_HINT):
            signer = oci.auth.signers.get_oke_workload_identity_resource_principal_signer(
                retry_strategy=retry_strategy()
            )
        return frozen(signer, region_of_environment())


def region_of_environment() -> str | None:
    from airflow_provider_dataflow.client.auth.regions import full_name

    region = os.environ.get(f"{PREFIX}REGION")
    return full_name(region) if region else None
