"""Security tokens with the signers of the SDK."""

from __future__ import annotations

import time

import jwt
import oci
import pytest
from oci.exceptions import ServiceError

from airflow_provider_dataflow.local import LocalDataFlow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("tokens") / "home", engine="scripted") as local:
        yield local


def client(server, token: str, private_key: str) -> oci.data_flow.DataFlowClient:
    signer = oci.auth.signers.SecurityTokenSigner(token, oci.signer.load_private_key(private_key, None))
    return oci.data_flow.DataFlowClient(
        {},
        signer=signer,
        service_endpoint=server.endpoint,
        circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
        retry_strategy=oci.retry.NoneRetryStrategy(),
    )


def submit(server, client) -> oci.data_flow.models.Run:
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=server.compartment_id, execute="oci://data@ns/a.py"
    )
    return client.create_run(details).data


def test_registered_token_signs_in(server):
    token = server.new_token()
    run = submit(server, client(server, token.token, token.private_key))
    assert run.owner_principal_id == server.identity.user
    assert server.journal("CreateRun")[-1]["user"] == server.identity.user
    assert server.local("tokens")[-1]["expires"] == token.expires


def test_expired_token_is_401(server):
    token = server.new_token(lifetime=-1)
    with pytest.raises(ServiceError, match="token has expired") as e:
        client(server, token.token, token.private_key).list_runs(server.compartment_id)
    assert (e.value.status, e.value.code) == (401, "NotAuthenticated")


def test_foreign_token_signs_in_once_registered(server):
    """The token comes from another service, such as a federation service of a test."""
    key = server.new_token()
    claims = {"sub": "ocid1.datasciencenotebooksession.oc1..n", "res_tenant": "ocid1.tenancy.oc1..t"}
    token = jwt.encode(
        claims | {"exp": int(time.time()) + 60}, "a secret of thirty-two bytes or more.", "HS256"
    )
    access = client(server, token, key.private_key)
    with pytest.raises(ServiceError, match="not registered"):
        access.list_runs(server.compartment_id)
    server.register_token(token, key.public_key)
    assert submit(server, access).owner_principal_id == claims["sub"]
    server.register_token(token, key.public_key, expires=time.time() - 1)
    with pytest.raises(ServiceError, match="token has expired"):
        submit(server, access)


@pytest.mark.parametrize("expires", [{}, {"expires": None}])
def test_token_expires_at_its_exp_claim(server, expires):
    key = server.new_token()
    moment = int(time.time()) - 1
    token = jwt.encode({"exp": moment}, "a secret of thirty-two bytes or more.", "HS256")
    body = {"token": token, "publicKey": key.public_key, "tenancy": "a", "user": "b"}
    assert server.local("tokens", "POST", body | expires)["expires"] == moment
    with pytest.raises(ServiceError, match="token has expired"):
        client(server, token, key.private_key).list_runs(server.compartment_id)


def test_cleared_tokens_are_401(server):
    token = server.new_token()
    access = client(server, token.token, token.private_key)
    access.list_runs(server.compartment_id)
    server.clear_tokens()
    assert server.local("tokens") == []
    with pytest.raises(ServiceError, match="not registered"):
        access.list_runs(server.compartment_id)
    token = server.new_token()
    server.reset()
    with pytest.raises(ServiceError, match="not registered"):
        client(server, token.token, token.private_key).list_runs(server.compartment_id)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"publicKey": "no key"}, "not in PEM"),
        ({"token": ""}, "must be non-empty strings"),
        ({"user": 1}, "must be non-empty strings"),
        ({"expires": "tomorrow"}, "expires must be"),
        ({"expires": True}, "expires must be"),
    ],
)
def test_invalid_registration_is_refused(server, changes, message):
    body = {"token": "t", "publicKey": server.new_token().public_key, "tenancy": "a", "user": "b"}
    with pytest.raises(RuntimeError, match=message):
        server.local("tokens", "POST", body | changes)
