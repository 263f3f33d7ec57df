"""Messages of the button "Test connection"."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.connection_diagnosis import clock_skew, explain
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local import LocalDataFlow
from tests.unit.client.test_network_errors import Server


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("local"), engine="scripted") as server:
        yield server


def test_connection_succeeds(local, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", local.connection_json)
    assert DataFlowHook().test_connection() == (True, f"Data Flow responds at {local.endpoint}")
    assert {entry["operation"] for entry in local.journal()} == {"ListRuns"}


def test_connection_without_compartment_tests_the_sign_in(local, connection, key_fields, monkeypatch):
    extra = json.loads(local.connection_json)
    del extra["extra"]["compartment_id"]
    monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", json.dumps(extra))
    ok, message = DataFlowHook().test_connection()
    assert ok
    assert "The connection has no compartment_id, so its rights were not tested" in message


def test_connection_explains_an_unknown_key(local, connection):
    connection(local.endpoint)
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "401" in message
    assert "is the public key with this fingerprint registered with this user" in message


def test_connection_reports_a_wrong_fingerprint(connection):
    connection(fingerprint=":".join(["00"] * 16))
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "its fingerprint is" in message
    assert "but fingerprint says 00:00" in message


@pytest.mark.parametrize(("off", "words"), [(-900, "ahead of"), (900, "behind")])
def test_connection_explains_a_wrong_clock(connection, off, words, monkeypatch):
    server = Server()
    server.answer = lambda path: (401, {"date": formatdate(time.time() + off, usegmt=True)})
    # Otherwise, the handler adds a correct Date header.
    handler = server.server.RequestHandlerClass
    monkeypatch.setattr(handler, "date_time_string", lambda self: formatdate(time.time() + off, usegmt=True))
    connection(f"http://127.0.0.1:{server.port}")
    ok, message = DataFlowHook().test_connection()
    server.close()
    assert not ok
    assert "This machine's clock is 9" in message or "This machine's clock is 89" in message
    assert f"seconds {words} the service's" in message


@pytest.mark.parametrize("status", [403, 404])
def test_connection_explains_a_missing_policy(connection, status):
    server = Server()
    server.answer = lambda path: (status, {})
    connection(f"http://127.0.0.1:{server.port}")
    ok, message = DataFlowHook().test_connection()
    server.close()
    assert not ok
    assert "policy like 'allow group <airflow> to read dataflow-run in compartment <compartment>'" in message


def test_connection_explains_a_refused_network_connection(connection):
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "Connection refused" in message
    assert "Nothing listens there" in message


def test_connection_explains_an_unknown_region(connection, monkeypatch):
    """Looks up a host in .invalid, which never resolves."""
    connection("https://dataflow.eu-atlantis-1.oci.invalid", region="eu-atlantis-1")
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__ALLOWED_ENDPOINTS", "dataflow.eu-atlantis-1.oci.invalid")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "cannot be resolved" in message
    assert "The SDK does not know the region 'eu-atlantis-1'" in message


def test_connection_reports_a_forbidden_auth_type(connection):
    connection(auth_type="instance_principal")
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "a connection must not choose" in message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"message": "[Errno 101] Network is unreachable"}, "There is no route"),
        ({"message": "Connection timed out"}, "A firewall may drop the packets"),
        (
            {"message": "certificate verify failed: self-signed"},
            "whether a proxy intercepts the connection",
        ),
        ({"message": "", "status": 302}, "Signed requests do not follow redirects"),
        ({"message": "", "status": 503}, "the service is overloaded or has an outage"),
        ({"message": "", "status": 429}, "the service is overloaded or has an outage"),
    ],
)
def test_explanations_of_other_errors(key_fields, error, words):
    access = Access(ApiKey(**key_fields), "us-ashburn-1")
    assert words in explain(ServiceError(operation="ListRuns", **error), access)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_clock_skew_is_unknown_without_a_date(date):
    assert clock_skew(date) is None
