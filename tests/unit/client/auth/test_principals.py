"""Instance principals, resource principals and workload identities, with a fake of the token services."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.instance_principal import InstancePrincipal
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal, WorkloadIdentity
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import InvalidConnection, ServiceError
from tests.identity_service import IdentityService, new_key, pem_of, token_for
from tests.unit.support import RUN_ID

RP = "OCI_RESOURCE_PRINCIPAL_"


@pytest.fixture
def service(monkeypatch):
    service = IdentityService()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OCI_METADATA_BASE_URL", f"{service.url}/opc/v2")
    yield service
    service.close()


def instance(service, **fields) -> InstancePrincipal:
    return InstancePrincipal(federation_endpoint=f"{service.url}/v1/x509", **fields)


@pytest.fixture
def resource(monkeypatch, tmp_path):
    """Set the environment of a resource principal 2.2. Return a function that rewrites its files."""
    token_file, key_file = tmp_path / "rpst", tmp_path / "key.pem"

    def write(lifetime: float = 1200) -> None:
        key = new_key()
        token_file.write_text(token_for(key.public_key(), lifetime))
        key_file.write_text(pem_of(key))

    write()
    monkeypatch.setenv(f"{RP}VERSION", "2.2")
    monkeypatch.setenv(f"{RP}RPST", str(token_file))
    monkeypatch.setenv(f"{RP}PRIVATE_PEM", str(key_file))
    monkeypatch.setenv(f"{RP}REGION", "fra")
    return SimpleNamespace(write=write, token_file=token_file, key_file=key_file)


@pytest.fixture
def pod(monkeypatch, tmp_path, service):
    """Set the environment of a pod in OKE."""
    from oci.auth.signers import resource_principals_signer

    # The fixed port of a real cluster may be in use here.
    port = service.serve_tls(tmp_path)
    monkeypatch.setattr(resource_principals_signer, "OCI_KUBERNETES_PROXYMUX_SERVICE_PORT", str(port))
    account = tmp_path / "token"
    account.write_text(token_for(new_key().public_key(), 3600))
    monkeypatch.setattr("oci.auth.rpt_path_providers.OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH", str(account))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH", str(tmp_path / "ca.crt"))
    monkeypatch.setenv(f"{RP}REGION", "eu-frankfurt-1")


async def both_clients_get_a_run(service, credentials) -> None:
    access = Access(credentials, service_endpoint=service.url)
    assert DataFlowClient(access).get_run(RUN_ID).state == "IN_PROGRESS"
    async with await AsyncDataFlowClient.create(lambda: access) as client:
        assert (await client.get_run(RUN_ID)).state == "IN_PROGRESS"
    assert not service.problems
    assert service.calls["data flow"] == 2


async def test_instance_principal_signs_in(service):
    await both_clients_get_a_run(service, instance(service))
    # One sign-in for both clients, with one request per URL.
    assert {n for path, n in service.calls.items() if path != "data flow"} == {1}


async def test_region_defaults_to_that_of_the_instance(service):
    access = Access(instance(service))
    assert access.endpoint == "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"
    assert Access(instance(service), region="iad").endpoint.startswith("https://dataflow.us-ashburn-1.")


async def test_a_delegation_token_is_sent_and_signed(service):
    await both_clients_get_a_run(service, instance(service, delegation_token="obo"))
    assert service.obo_tokens == {"obo"}
    assert "opc-obo-token" in service.headers[-1]["authorization"]


async def test_resource_principal_signs_in(service, resource):
    await both_clients_get_a_run(service, ResourcePrincipal())
    assert Access(ResourcePrincipal()).home_region == "eu-frankfurt-1"


async def test_resource_principal_sends_a_delegation_token(service, resource):
    await both_clients_get_a_run(service, ResourcePrincipal(delegation_token="obo"))
    assert service.obo_tokens == {"obo"}


async def test_workload_identity_signs_in(service, pod):
    await both_clients_get_a_run(service, WorkloadIdentity())
    assert service.calls["/resourcePrincipalSessionTokens"] == 1


async def test_nested_resource_principal_signs_in(service, monkeypatch, resource):
    monkeypatch.setenv(f"{RP}VERSION", "3.0")
    for name in ("VERSION", "RPST", "PRIVATE_PEM", "REGION"):
        value = {"VERSION": "2.2", "RPST": resource.token_file, "PRIVATE_PEM": resource.key_file}
        monkeypatch.setenv(f"{RP}{name}_FOR_LEAF_RESOURCE", str(value.get(name, "eu-frankfurt-1")))
    monkeypatch.setenv(f"{RP}RPT_URL_FOR_PARENT_RESOURCE", service.url)
    monkeypatch.setenv(f"{RP}RPST_ENDPOINT_FOR_PARENT_RESOURCE", service.url)
    await both_clients_get_a_run(service, ResourcePrincipal())
    assert Access(ResourcePrincipal(), "fra").parent_rpt_url == service.url


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"VERSION": None}, r"OCI_RESOURCE_PRINCIPAL_VERSION: expected one of .*it is not set"),
        ({"VERSION": "9"}, "got '9'"),
        ({"RPST": None}, "OCI_RESOURCE_PRINCIPAL_RPST: not set"),
        ({"RPST": "/no/such/file"}, "RPST: /no/such/file cannot be read: No such file"),
        ({"RPST": "secret"}, "RPST: expected a security token"),
        ({"PRIVATE_PEM": "secret"}, "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM: expected an RSA private key"),
    ],
)
def test_invalid_variable_is_named(monkeypatch, resource, changes, problem):
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(f"{RP}{name}")
        else:
            monkeypatch.setenv(f"{RP}{name}", value)
    with pytest.raises(InvalidConnection, match=problem) as caught:
        ResourcePrincipal().sign_in()
    assert "secret" not in str(caught.value)


def test_workload_identity_outside_a_cluster_is_refused(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InvalidConnection, match="KUBERNETES_SERVICE_HOST: not set"):
        WorkloadIdentity().sign_in()


def test_cluster_proxy_with_untrusted_certificate_is_refused(service, pod, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (tmp_path / "ca.crt").write_text(service.certificate)
    with pytest.raises(ServiceError, match="SignIn") as caught:
        WorkloadIdentity().sign_in()
    assert "certificate verify failed" in str(caught.value)
    assert service.calls["/resourcePrincipalSessionTokens"] == 0


def test_missing_metadata_service_is_reported(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("OCI_METADATA_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"Connection refused.*compute instances only") as caught:
        InstancePrincipal().sign_in()
    assert caught.value.is_transient
    assert caught.value.operation == "SignIn"


@pytest.mark.parametrize("path", ["/opc/v2/identity/key.pem", "/v1/x509"])
def test_token_requests_are_retried(service, path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    service.faults[path] = [503, 0, 429]
    assert instance(service).sign_in().expires_at is not None


def test_refused_token_request_is_final_and_shows_no_token(service, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    service.faults["/v1/x509"] = [404] * 20
    with pytest.raises(ServiceError, match="dynamic group") as caught:
        instance(service).sign_in()
    assert caught.value.status == 404
    assert service.calls["/v1/x509"] == 1


def test_errors_and_repr_contain_no_secret(service):
    credentials = instance(service, delegation_token="obo-secret")
    sign_in = credentials.sign_in()
    shown = repr(credentials) + repr(sign_in) + json.dumps(str(sign_in))
    assert "obo-secret" not in shown
    assert sign_in.key_id not in shown
