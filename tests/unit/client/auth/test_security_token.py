"""Token and key in two files that are rewritten one after the other."""

from __future__ import annotations

import threading

import pytest

from airflow_provider_dataflow.client.auth import security_token as tokens_module
from airflow_provider_dataflow.client.auth.config_file import SecurityToken
from airflow_provider_dataflow.client.auth.credentials import snapshot_of
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal
from airflow_provider_dataflow.client.auth.security_token import claims_of, expiry
from airflow_provider_dataflow.exceptions import InvalidConnection
from tests.identity_service import new_key, pem_of, token_for


@pytest.fixture(params=["session token", "resource principal"])
def pair(request, monkeypatch, tmp_path):
    """Return the paths of a token and a key, and credentials that use them."""
    token, key = tmp_path / "token", tmp_path / "key.pem"
    if request.param == "session token":
        config = tmp_path / "config"
        config.write_text(
            f"[DEFAULT]\nregion=eu-frankfurt-1\nkey_file={key}\nsecurity_token_file={token}\n"
            "tenancy=ocid1.tenancy.oc1..a\nfingerprint=\n"
        )
        return token, key, SecurityToken(str(config))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(token))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(key))
    return token, key, ResourcePrincipal()


def test_token_of_another_key_is_refused(pair, monkeypatch):
    monkeypatch.setattr(tokens_module, "READ_PAUSE_SECONDS", 0.001)
    token, key, credentials = pair
    token.write_text(token_for(new_key().public_key(), 1200))
    key.write_text(pem_of(new_key()))
    with pytest.raises(
        InvalidConnection, match="the token was issued for another key than the one in"
    ) as caught:
        credentials.sign_in()
    assert token.read_text() not in str(caught.value)


@pytest.mark.parametrize("first", ["token", "key", "half of a token"])
def test_token_and_key_are_read_until_they_match(pair, first):
    token, key, credentials = pair
    token.write_text(token_for(new_key().public_key(), 1200))
    new = new_key()
    new_token = token_for(new.public_key(), 1200)
    if first != "token":
        key.write_text(pem_of(new))
    if first != "key":
        token.write_text(new_token if first == "token" else new_token[:100])
    timer = threading.Timer(0.15, lambda: (key.write_text(pem_of(new)), token.write_text(new_token)))
    timer.start()
    assert credentials.sign_in().key_id == f"ST${new_token}"
    timer.join()


def test_token_without_key_claim_is_accepted(pair):
    token, key, credentials = pair
    key.write_text(pem_of(new_key()))
    token.write_text(token_for(new_key().public_key(), 1200, jwk=None))
    assert credentials.sign_in().expires_at is not None


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.bm8.c", "a.W10.c", "a.eyJleHAiOiAibm8ifQ.c"])
def test_malformed_token_has_no_expiry(token):
    assert expiry(f"ST${token}") is None
    assert not claims_of(token).get("jwk")


def test_sign_in_is_a_snapshot_of_an_sdk_signer():
    from oci.auth.signers import SecurityTokenSigner

    old, new = new_key(1024), new_key(1024)
    of_sdk = SecurityTokenSigner(token_for(old.public_key(), 1200), old)
    sign_in = snapshot_of(of_sdk, "eu-frankfurt-1")
    key_id = sign_in.key_id
    of_sdk.api_key = f"ST${token_for(new.public_key(), 1200)}"
    of_sdk._basic_signer.reset_signer(of_sdk.api_key, new)
    assert sign_in.key_id == key_id
    assert sign_in.signer._basic_signer._rsa_private is old
