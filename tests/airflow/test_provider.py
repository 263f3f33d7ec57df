"""Airflow finds the provider, and both servers listen on loopback only."""

from __future__ import annotations

import contextlib
import json

import psutil
import pytest
from harness import Session
from matrix import releases

from dev.processes import own_processes


def test_airflow_lists_provider_and_connection_type(session: Session) -> None:
    providers = session.bench.airflow.cli("providers", "list", "--output", "json")
    assert providers.returncode == 0, providers.stderr
    assert "airflow-provider-dataflow" in providers.stdout

    hooks = session.bench.airflow.cli("providers", "hooks", "--output", "json")
    assert hooks.returncode == 0, hooks.stderr
    assert "airflow_provider_dataflow.hooks.data_flow.DataFlowHook" in hooks.stdout


def test_connection_form_has_fields_of_the_provider(session: Session) -> None:
    """As returned to the UI."""
    forms = session.rest.request("GET", "connections/hook_meta", root="/ui")
    (form,) = (form for form in forms if form["connection_type"] == "oci")
    standard = form["standard_fields"]
    if releases.AIRFLOW < (3, 1) and standard is None:
        pytest.xfail(releases.CONNECTION_FORM)
    assert {name for name, field in standard.items() if field and field["hidden"]} == {
        "host",
        "port",
        "url_schema",
    }
    assert standard["login"]["title"] == "User OCID"
    assert standard["password"]["title"] == "Key passphrase"
    fields = form["extra_fields"]
    assert {name for name, field in fields.items() if field["schema"].get("format") == "password"} == {
        "private_key_content",
        "delegation_token",
    }
    assert {"auth_type", "tenancy", "fingerprint", "region", "compartment_id", "service_endpoint"} < set(
        fields
    )


def test_connection_test_reports_success_and_errors(session: Session) -> None:
    """The button calls it in the API server."""
    connection = json.loads(session.local.connection)

    def tested(**extra: str) -> tuple[bool, str]:
        body = {
            "connection_id": "not_saved",
            "conn_type": "oci",
            "login": connection["login"],
            "extra": json.dumps(connection["extra"] | extra),
        }
        response = session.rest.request("POST", "connections/test", json=body)
        return response["status"], response["message"]

    assert tested() == (True, f"Data Flow responds at {session.local.endpoint}")
    works, message = tested(fingerprint=":".join(["00"] * 16))
    assert not works
    assert "its fingerprint is" in message
    works, message = tested(service_endpoint="https://elsewhere.example")
    assert not works
    assert "allowed_endpoints" in message
    works, message = tested(auth_type="instance_principal")
    assert not works
    assert "a connection must not choose" in message


def test_servers_listen_on_loopback_only(session: Session) -> None:
    leaders = [*session.bench.airflow.processes.values(), session.local.process]
    sockets = []
    for process in own_processes("", [leader for leader in leaders if leader]):
        with contextlib.suppress(psutil.NoSuchProcess):  # workers come and go
            sockets += process.net_connections("inet")
    listening = {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert len(listening) >= 2
    assert {address.ip for address in listening} == {"127.0.0.1"}
