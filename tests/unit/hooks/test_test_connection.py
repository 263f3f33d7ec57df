"""What the button "Test connection" says."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest

from airflow_provider_dataflow.client import retry
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.connection_diagnosis import clock_skew, explain
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local import LocalDataFlow
from tests.unit.client.test_network_errors import Server


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("local"), engine="scripted") as server:
        yield server


def test_a_good_connection(local, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", local.connection_json)
    assert DataFlowHook().test_connection() == (True, f"Data Flow answers at {local.endpoint}")
    assert {entry["operation"] for entry in local.journal()} == {"ListRuns"}


def test_without_a_compartment_the_sign_in_is_tested(local, connection, key_fields, monkeypatch):
    extra = json.loads(local.connection_json)
    del extra["extra"]["compartment_id"]
    monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", json.dumps(extra))
    ok, message = DataFlowHook().test_connection()
    assert ok
    assert "Without a compartment_id, rights were not tested" in message


def test_a_key_that_nobody_knows(local, connection):
    connection(local.endpoint)
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "401" in message
    assert "is the public key with this fingerprint registered with this user" in message


def test_key_and_fingerprint_that_do_not_match(connection):
    connection(fingerprint=":".join(["00"] * 16))
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "its fingerprint is" in message
    assert "but fingerprint says 00:00" in message


@pytest.mark.parametrize(("off", "words"), [(-900, "ahead of"), (900, "behind")])
def test_a_clock_that_is_wrong(connection, off, words, monkeypatch):
    server = Server()
    server.answer = lambda path: (401, {"date": formatdate(time.time() + off, usegmt=True)})
    # The handler sends a right one of its own otherwise.
    handler = server.server.RequestHandlerClass
    monkeypatch.setattr(handler, "date_time_string", lambda self: formatdate(time.time() + off, usegmt=True))
    connection(f"http://127.0.0.1:{server.port}")
    ok, message = DataFlowHook().test_connection()
    server.close()
    assert not ok
    assert "This machine's clock is 9" in message or "This machine's clock is 89" in message
    assert f"seconds {words} the service's" in message


@pytest.mark.parametrize("status", [403, 404])
def test_no_policy(connection, status):
    server = Server()
    server.answer = lambda path: (status, {})
    connection(f"http://127.0.0.1:{server.port}")
    ok, message = DataFlowHook().test_connection()
    server.close()
    assert not ok
    assert "policy like 'Allow group <group> to read dataflow-run in compartment <compartment>'" in message


def test_nothing_listens(connection):
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "Connection refused" in message
    assert "Nothing listens there" in message


def test_a_region_that_does_not_exist(connection, monkeypatch):
    """Looked up for real: .invalid is never resolved, wherever this runs."""
    connection("https://dataflow.eu-atlantis-1.oci.invalid", region="eu-atlantis-1")
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__ALLOWED_ENDPOINTS", "dataflow.eu-atlantis-1.oci.invalid")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "cannot be resolved" in message
    assert "The SDK does not know the region 'eu-atlantis-1'" in message


def test_an_identity_that_the_connection_may_not_choose(connection):
    connection(auth_type="instance_principal")
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "more than a connection may choose by itself" in message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"message": "[Errno 101] Network is unreachable"}, "There is no route"),
        ({"message": "Connection timed out"}, "A firewall may drop the packets"),
        (
            {"message": "certificate verify failed: self-signed"},
            "whether a proxy intercepts the connection",
        ),
        ({"message": "", "status": 302}, "Redirects are not followed"),
        ({"message": "", "status": 503}, "the service itself is busy or in trouble"),
        ({"message": "", "status": 429}, "the service itself is busy or in trouble"),
    ],
)
def test_other_errors(key_fields, error, words):
    access = Access(ApiKey(**key_fields), "us-ashburn-1")
    assert words in explain(ServiceError(operation="ListRuns", **error), access)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_without_a_date_nothing_is_said_about_clocks(date):
    assert clock_skew(date) is None
