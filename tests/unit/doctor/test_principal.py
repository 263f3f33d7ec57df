from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.auth.config_file import ConfigFile, SecurityToken
from airflow_provider_dataflow.client.auth.credentials import sign_in_with_key, sign_in_with_token
from airflow_provider_dataflow.client.auth.instance_principal import InstancePrincipal
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal, WorkloadIdentity
from airflow_provider_dataflow.doctor.principal import principal_of
from airflow_provider_dataflow.models.policy_statements import DYNAMIC_GROUP, GROUP
from tests.identity_service import token_for

USER, TENANCY = "ocid1.user.oc1..aaaa", "ocid1.tenancy.oc1..aaaa"


def test_user_with_an_api_key(private_key):
    sign_in = sign_in_with_key(f"{TENANCY}/{USER}/12:34", private_key)
    principal = principal_of(ConfigFile(), sign_in)
    assert (principal.id, principal.tenancy, principal.subject) == (USER, TENANCY, GROUP)
    assert str(principal) == f"user with an API key, {USER}, tenancy {TENANCY}"


@pytest.mark.parametrize(
    ("credentials", "claims", "expected", "subject"),
    [
        (
            SecurityToken(),
            {"sub": USER, "tenant": TENANCY},
            f"user with a session token, {USER}, tenancy {TENANCY}",
            "group <airflow>",
        ),
        (
            InstancePrincipal(),
            {"sub": "x", "opc-instance": "ocid1.instance.oc1..aaaa", "opc-tenant": TENANCY},
            f"instance principal, ocid1.instance.oc1..aaaa, tenancy {TENANCY}",
            "dynamic-group <airflow>",
        ),
        (
            ResourcePrincipal(),
            {"res_id": "ocid1.fnfunc.oc1..aaaa", "res_tenant": TENANCY, "tenant": "ocid1.tenancy.oc1..svc"},
            f"resource principal, ocid1.fnfunc.oc1..aaaa, tenancy {TENANCY}",
            "dynamic-group <airflow>",
        ),
        (WorkloadIdentity(), {}, "OKE workload identity", "any-user"),
        # A claim of another type is left out.
        (
            InstancePrincipal(),
            {"sub": 1, "opc-tenant": None},
            "instance principal",
            "dynamic-group <airflow>",
        ),
    ],
)
def test_principal_of_a_token(private_key, credentials, claims, expected, subject):
    token = token_for(private_key.public_key(), 60, **claims)
    principal = principal_of(credentials, sign_in_with_token(token, private_key))
    assert (str(principal), principal.subject.name) == (expected, subject)
    assert token not in repr(principal)


def test_rights_of_a_delegation_are_those_of_the_user(private_key):
    token = token_for(private_key.public_key(), 60, sub="ocid1.instance.oc1..aaaa")
    delegation = token_for(private_key.public_key(), 60, sub=USER)
    sign_in = sign_in_with_token(token, private_key, delegation_token=delegation)
    principal = principal_of(InstancePrincipal(delegation), sign_in)
    assert principal.subject == GROUP != DYNAMIC_GROUP
    assert str(principal) == f"user who has delegated to the instance principal, {USER}"
