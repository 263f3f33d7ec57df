"""Identity that signs in, read from its key id or token. Sends no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_dataflow.client.auth.credentials import Credentials, SignIn
from airflow_provider_dataflow.client.auth.instance_principal import InstancePrincipal
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal, WorkloadIdentity
from airflow_provider_dataflow.client.auth.security_token import claims_of
from airflow_provider_dataflow.models.policy_statements import (
    DYNAMIC_GROUP,
    GROUP,
    Subject,
    workload_subject,
)

#: Claims with the tenancy of the principal, in the order of preference: that of the resource comes before the
#: tenancy of the service that owns it.
_TENANCY_CLAIMS = ("res_tenant", "opc-tenant", "tenant")


@dataclass(frozen=True)
class Principal:
    """Identity that signs in.

    :param kind: for example ``user with an API key``.
    :param id: OCID of the user, instance or resource; None if the token does not name it.
    :param tenancy: OCID; None if the token does not name it.
    :param subject: receiver of its rights in policy statements.
    """

    kind: str
    id: str | None
    tenancy: str | None
    subject: Subject

    def __str__(self) -> str:
        named = [self.kind, self.id, f"tenancy {self.tenancy}" if self.tenancy else None]
        return ", ".join(filter(None, named))


def principal_of(credentials: Credentials, sign_in: SignIn) -> Principal:
    """Return the identity of a sign-in.

    :param credentials: how it was signed in.
    """
    _, is_token, token = sign_in.key_id.partition("ST$")
    if is_token:
        principal = _principal_of_claims(credentials, claims_of(token))
    else:
        tenancy, user = (*sign_in.key_id.split("/"), "", "")[:2]
        principal = Principal("user with an API key", user or None, tenancy or None, GROUP)
    if sign_in.delegation_token:
        return _delegator(claims_of(sign_in.delegation_token), principal)
    return principal


def _principal_of_claims(credentials: Credentials, claims: Mapping[str, Any]) -> Principal:
    tenancy = _first(claims, _TENANCY_CLAIMS)
    match credentials:
        case WorkloadIdentity():
            return Principal("OKE workload identity", _first(claims, ("sub",)), tenancy, workload_subject())
        case InstancePrincipal():
            instance = _first(claims, ("opc-instance", "sub"))
            return Principal("instance principal", instance, tenancy, DYNAMIC_GROUP)
        case ResourcePrincipal():
            resource = _first(claims, ("res_id", "sub"))
            return Principal("resource principal", resource, tenancy, DYNAMIC_GROUP)
    return Principal("user with a session token", _first(claims, ("sub",)), tenancy, GROUP)


def _delegator(claims: Mapping[str, Any], delegate: Principal) -> Principal:
    """Return the user on whose behalf requests are sent: the user's rights count."""
    user = _first(claims, ("sub",))
    return Principal(f"user who has delegated to the {delegate.kind}", user, delegate.tenancy, GROUP)


def _first(claims: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of these claims that the token has."""
    values = (claims.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), None)
