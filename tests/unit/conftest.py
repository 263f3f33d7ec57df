"""What the unit tests of the skin and of the clients share."""

from __future__ import annotations

import json
from weakref import WeakValueDictionary

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_dataflow.client import rate_limit
from airflow_provider_dataflow.client.auth.private_key import fingerprint_of
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from tests.unit.support import COMPARTMENT_ID, FakeClient


@pytest.fixture(autouse=True)
def rate_limits(monkeypatch):
    """Forget the rate limits of connections, or a 429 in one test would delay the next one."""
    monkeypatch.setattr(rate_limit, "_shared", WeakValueDictionary())


@pytest.fixture(scope="session")
def private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def pem(private_key) -> str:
    return private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="session")
def key_fields(private_key, pem) -> dict[str, str]:
    """The fields of an API key, as arguments of ``ApiKey``."""
    return {
        "user": "ocid1.user.oc1..aaaa",
        "tenancy": "ocid1.tenancy.oc1..aaaa",
        "fingerprint": fingerprint_of(private_key),
        "private_key_content": pem,
    }


@pytest.fixture
def connection(monkeypatch, key_fields):
    """Defines ``oci_default``; call it with fields to change them (None takes one away)."""

    def define(endpoint="http://127.0.0.1:9", **changes):
        extra = {
            "tenancy": key_fields["tenancy"],
            "fingerprint": key_fields["fingerprint"],
            "private_key_content": key_fields["private_key_content"],
            "region": "us-ashburn-1",
            "compartment_id": COMPARTMENT_ID,
            "service_endpoint": endpoint,
        }
        top = {"conn_type": "oci", "login": key_fields["user"]}
        for name, value in changes.items():
            (top if name in ("login", "password") else extra)[name] = value
        top["extra"] = {name: value for name, value in extra.items() if value is not None}
        monkeypatch.setenv(
            "AIRFLOW_CONN_OCI_DEFAULT", json.dumps({k: v for k, v in top.items() if v is not None})
        )

    define()
    return define


@pytest.fixture
def client(mocker, connection) -> FakeClient:
    """In the place of every hook's synchronous client."""
    client = FakeClient()
    mocker.patch.object(DataFlowHook, "new_client", return_value=client)
    return client
