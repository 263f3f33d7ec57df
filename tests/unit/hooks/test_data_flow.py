from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import InvalidArgument, InvalidConnection, ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from tests.unit.support import COMPARTMENT_ID, RUN_ID


def test_hook_reads_the_connection(connection, key_fields):
    hook = DataFlowHook()
    assert hook.access.credentials.user == key_fields["user"]
    assert hook.access.region == "us-ashburn-1"
    assert hook.access.endpoint == "http://127.0.0.1:9"
    assert hook.compartment_id == COMPARTMENT_ID
    assert hook.access.signer is hook.access.signer


def test_vars_of_a_hook_are_its_arguments_without_secrets(connection, key_fields):
    serde = pytest.importorskip("airflow.sdk.serde", reason="from Airflow 3.2 on")
    connection(password="hush-hush")
    hook = DataFlowHook(region="eu-frankfurt-1")
    hook.access.prepare()
    assert hook.client is hook.client
    assert hook.compartment_id == COMPARTMENT_ID
    shown = {name: value for name, value in vars(hook).items() if not name.startswith("_log")}
    assert shown == {
        "oci_conn_id": "oci_default",
        "region": "eu-frankfurt-1",
        "service_endpoint": None,
        "auth_type": None,
        "config_file": None,
        "profile": None,
    }
    pushed = json.dumps(serde.serialize(vars(hook)))
    assert "hush-hush" not in pushed
    assert key_fields["private_key_content"].splitlines()[1] not in pushed


def test_arguments_win_over_the_connection(connection):
    hook = DataFlowHook(region="eu-frankfurt-1", service_endpoint="http://127.0.0.1:10")
    assert (hook.access.region, hook.access.endpoint) == ("eu-frankfurt-1", "http://127.0.0.1:10")


def test_fields_with_the_old_prefix_are_read(connection):
    connection(region=None, extra__oci__region="eu-zurich-1")
    assert DataFlowHook().access.region == "eu-zurich-1"
    connection(region="us-ashburn-1", extra__oci__region="eu-zurich-1")
    assert DataFlowHook().access.region == "us-ashburn-1"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"login": None}, "login: missing"),
        ({"tenancy": None}, "tenancy: missing"),
        ({"fingerprint": "x"}, "fingerprint: expected"),
        ({"private_key_content": None}, "private_key_content: missing"),
        ({"region": "a.b"}, "region: expected"),
        ({"region": None, "endpoint": None}, "region: missing"),
    ],
)
def test_invalid_field_is_named_with_its_connection(connection, changes, problem):
    connection(**changes)
    with pytest.raises(InvalidConnection, match=f"connection 'oci_default': {problem}"):
        _ = DataFlowHook().access


def test_errors_of_prepare_name_the_connection(connection):
    connection(fingerprint=":".join(["00"] * 16))
    with pytest.raises(InvalidConnection, match="connection 'oci_default': private_key_content"):
        DataFlowHook().access.prepare()
    connection("https://elsewhere.example")
    with pytest.raises(InvalidConnection, match="connection 'oci_default': service_endpoint"):
        _ = DataFlowHook().access.endpoint


def test_other_endpoint_needs_permission(connection, monkeypatch):
    connection("https://elsewhere.example")
    with pytest.raises(InvalidConnection, match=r"elsewhere\.example is neither"):
        _ = DataFlowHook().access.endpoint
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__ALLOWED_ENDPOINTS", "a.example, elsewhere.example")
    assert DataFlowHook().access.endpoint == "https://elsewhere.example"


def test_refused_network_connection_is_a_service_error(connection, monkeypatch):
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))
    with pytest.raises(
        ServiceError, match=r"GetRun at http://127.0.0.1:9 got no response: .*refused"
    ) as caught:
        DataFlowHook().get_run(RUN_ID)
    assert caught.value.is_transient
    ok, message = DataFlowHook().test_connection()
    assert not ok
    assert "127.0.0.1:9" in message


@pytest.mark.parametrize("filters", [{"nonsense": 1}, {"display_name": "a", "lifecycle_state": "FAILED"}])
def test_list_runs_takes_one_known_filter(connection, filters):
    with pytest.raises(InvalidArgument):
        DataFlowHook().list_runs(**filters)


def test_list_runs_needs_a_compartment(connection):
    connection(compartment_id=None)
    with pytest.raises(InvalidArgument, match="compartment_id"):
        DataFlowHook().list_runs()
