"""Credentials from connections, in all forms that Airflow stores."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest

from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.auth.config_file import ConfigFile, SecurityToken
from airflow_provider_dataflow.client.auth.instance_principal import InstancePrincipal
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal, WorkloadIdentity
from airflow_provider_dataflow.compat import BaseHook
from airflow_provider_dataflow.exceptions import InvalidConnection
from airflow_provider_dataflow.hooks.auth_types import AUTH_TYPES
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from tests.identity_service import new_key, pem_of, token_for

AMBIENT = {
    "instance_principal": InstancePrincipal(),
    "resource_principal": ResourcePrincipal(),
    "oke_workload_identity": WorkloadIdentity(),
    "instance_principal_delegation": InstancePrincipal("obo"),
    "resource_principal_delegation": ResourcePrincipal("obo"),
    "config_file": ConfigFile(),
    "security_token": SecurityToken(),
}


def fields_of(key_fields) -> dict[str, str]:
    return {
        "tenancy": key_fields["tenancy"],
        "fingerprint": key_fields["fingerprint"],
        "private_key_content": key_fields["private_key_content"],
        "region": "us-ashburn-1",
    }


def as_json(key_fields):
    return json.dumps({"conn_type": "oci", "login": key_fields["user"], "extra": fields_of(key_fields)})


def as_json_with_text(key_fields):
    extra = json.dumps(fields_of(key_fields))
    return json.dumps({"conn_type": "oci", "login": key_fields["user"], "extra": extra})


def as_uri(key_fields):
    return f"oci://{quote(key_fields['user'])}@/?{urlencode(fields_of(key_fields))}"


def as_older_forms(key_fields):
    extra = {f"extra__oci__{name}": value for name, value in fields_of(key_fields).items()}
    return json.dumps({"conn_type": "oci", "login": key_fields["user"], "extra": extra})


def as_a_password_field(key_fields):
    """Browsers drop line ends in password fields."""
    extra = fields_of(key_fields)
    extra["private_key_content"] = extra["private_key_content"].replace("\n", "")
    return json.dumps({"conn_type": "oci", "login": key_fields["user"], "extra": extra})


def as_the_console_downloads_keys(key_fields):
    extra = fields_of(key_fields)
    extra["private_key_content"] += "OCI_API_KEY"
    return json.dumps({"conn_type": "oci", "login": key_fields["user"], "extra": extra})


def with_the_fingerprint_in_capitals(key_fields):
    return as_json(key_fields | {"fingerprint": key_fields["fingerprint"].upper()})


@pytest.mark.parametrize(
    "written",
    [
        as_json,
        as_json_with_text,
        as_uri,
        as_older_forms,
        as_a_password_field,
        as_the_console_downloads_keys,
        with_the_fingerprint_in_capitals,
    ],
)
def test_every_form_of_a_connection_signs_in(monkeypatch, key_fields, written):
    monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", written(key_fields))
    access = DataFlowHook().access
    assert access.home_region == "us-ashburn-1"
    key_id = "/".join(key_fields[name] for name in ("tenancy", "user", "fingerprint"))
    assert access.signer.current().key_id == key_id


def test_connection_from_a_secrets_backend_is_used(mocker, key_fields):
    """A backend returns a Connection."""
    from airflow.sdk import Connection

    found = Connection(
        conn_id="oci_default",
        conn_type="oci",
        login=key_fields["user"],
        extra=json.dumps(fields_of(key_fields)),
    )
    mocker.patch.object(BaseHook, "get_connection", return_value=found)
    assert DataFlowHook().access.credentials.user == key_fields["user"]


@pytest.mark.parametrize("auth_type", list(AMBIENT))
def test_auth_type_argument_is_used(connection, auth_type):
    connection(delegation_token="obo")
    assert DataFlowHook(auth_type=auth_type).access.credentials == AMBIENT[auth_type]


@pytest.mark.parametrize("auth_type", list(AMBIENT))
def test_auth_type_of_a_connection_needs_permission(connection, monkeypatch, auth_type):
    connection(auth_type=auth_type, delegation_token="obo")
    with pytest.raises(InvalidConnection, match=rf"auth_type: a connection must not choose {auth_type}"):
        _ = DataFlowHook().access
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__ALLOWED_AUTH_TYPES", f"api_key, {auth_type}")
    assert DataFlowHook().access.credentials == AMBIENT[auth_type]


def test_an_argument_wins_over_the_connection(connection, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__ALLOWED_AUTH_TYPES", "instance_principal")
    connection(auth_type="instance_principal")
    assert isinstance(DataFlowHook(auth_type="api_key").access.credentials, ApiKey)


def test_all_auth_types_are_tested_here():
    assert {"api_key", *AMBIENT} == set(AUTH_TYPES)


def test_unknown_auth_type_is_refused_with_the_known_ones(connection):
    with pytest.raises(InvalidConnection, match=r"auth_type: expected one of api_key, .*; got 'magic'"):
        _ = DataFlowHook(auth_type="magic").access


def test_failed_auth_type_has_no_fallback(connection, monkeypatch):
    """The connection contains a valid key."""
    monkeypatch.delenv("OCI_RESOURCE_PRINCIPAL_VERSION", raising=False)
    with pytest.raises(InvalidConnection, match="OCI_RESOURCE_PRINCIPAL_VERSION"):
        DataFlowHook(auth_type="resource_principal").get_run("x")


@pytest.mark.parametrize("field", ["config_file", "profile"])
def test_file_fields_of_a_connection_are_ignored(connection, monkeypatch, field, tmp_path):
    connection(**{field: str(tmp_path)})
    assert DataFlowHook(auth_type="config_file").access.credentials == ConfigFile()
    monkeypatch.setenv(f"AIRFLOW__OCI_DATA_FLOW__{field.upper()}", "configured")
    credentials = DataFlowHook(auth_type="config_file").access.credentials
    assert getattr(credentials, {"config_file": "path"}.get(field, field)) == "configured"


@pytest.mark.parametrize("field", ["config_file", "profile"])
def test_config_file_without_its_auth_type_is_refused(connection, field):
    with pytest.raises(InvalidConnection, match=f"{field}: only for auth_type config_file or"):
        _ = DataFlowHook(**{field: "x"}).access


def test_key_file_of_a_connection_is_refused(connection):
    connection(private_key_content=None, key_file="/etc/passwd")
    with pytest.raises(InvalidConnection, match="key_file: not read, since a connection must not"):
        _ = DataFlowHook().access


def test_ambient_auth_type_needs_no_connection():
    hook = DataFlowHook(None, auth_type="instance_principal", region="iad")
    assert hook.access.endpoint == "https://dataflow.us-ashburn-1.oci.oraclecloud.com"
    assert hook.compartment_id is None
    with pytest.raises(InvalidConnection, match="oci_conn_id: missing"):
        _ = DataFlowHook(None).access


def test_delegation_without_a_token_is_refused(connection):
    with pytest.raises(InvalidConnection, match="delegation_token: missing"):
        _ = DataFlowHook(auth_type="instance_principal_delegation").access


@pytest.mark.parametrize("name", ["tenancy", "region", "private_key_content", "service_endpoint"])
def test_field_that_is_not_a_string_is_named(connection, name):
    connection(**{name if name != "service_endpoint" else "endpoint": 7})
    with pytest.raises(InvalidConnection, match=f"{name}: expected a string"):
        _ = DataFlowHook().access


def test_connection_key_differs_with_each_argument():
    keys = {
        DataFlowHook(**arguments).connection_key
        for arguments in (
            {},
            {"oci_conn_id": "a"},
            {"region": "a"},
            {"service_endpoint": "a"},
            {"auth_type": "a"},
            {"config_file": "a"},
            {"profile": "a"},
        )
    }
    assert len(keys) == 7


@pytest.fixture
def config(tmp_path, key_fields, private_key):
    """Return the path of a configuration file with an API key and a session, as the CLI writes it."""
    (tmp_path / "key.pem").write_text(pem_of(private_key))
    session = new_key()
    (tmp_path / "session.pem").write_text(pem_of(session))
    (tmp_path / "token").write_text(token_for(session.public_key(), 3600))
    path = tmp_path / "config"
    path.write_text(
        f"[DEFAULT]\nuser={key_fields['user']}\ntenancy={key_fields['tenancy']}\nregion=eu-zurich-1\n"
        f"fingerprint={key_fields['fingerprint']}\nkey_file={tmp_path / 'key.pem'}\n"
        f"[session]\nuser=\nsecurity_token_file={tmp_path / 'token'}\nkey_file={tmp_path / 'session.pem'}\n"
    )
    return path


def test_config_file_profile_signs_in(config, key_fields):
    hook = DataFlowHook(None, auth_type="config_file", config_file=str(config))
    assert hook.access.signer.current().key_id.endswith(key_fields["fingerprint"])
    assert hook.access.endpoint == "https://dataflow.eu-zurich-1.oci.oraclecloud.com"


def test_session_token_profile_signs_in(config):
    hook = DataFlowHook(None, auth_type="security_token", config_file=str(config), profile="session")
    assert hook.access.signer.current().key_id.startswith("ST$")


@pytest.mark.parametrize(
    ("auth_type", "profile", "problem"),
    [
        ("config_file", "session", "expected auth_type security_token"),
        ("config_file", "nobody", "Profile 'nobody' not found"),
        ("security_token", "DEFAULT", "security_token_file: missing"),
    ],
)
def test_invalid_profile_is_named(config, auth_type, profile, problem):
    hook = DataFlowHook(None, auth_type=auth_type, config_file=str(config), profile=profile)
    with pytest.raises(InvalidConnection, match=rf"config_file .*config, profile {profile}: .*") as caught:
        hook.access.prepare()
    assert problem in str(caught.value)


def test_a_missing_file_is_named(tmp_path, config):
    hook = DataFlowHook(None, auth_type="config_file", config_file=str(tmp_path / "none"))
    with pytest.raises(InvalidConnection, match="Could not find config file"):
        hook.access.prepare()
    (tmp_path / "key.pem").unlink()
    hook = DataFlowHook(None, auth_type="config_file", config_file=str(config))
    with pytest.raises(InvalidConnection, match="key_file"):
        hook.access.prepare()


def test_a_malformed_file_is_not_quoted(tmp_path):
    path = tmp_path / "config"
    path.write_text("secret-marker\n[DEFAULT]\n")
    hook = DataFlowHook(None, auth_type="config_file", config_file=str(path))
    with pytest.raises(InvalidConnection, match="the file is malformed") as caught:
        hook.access.prepare()
    assert "secret-marker" not in str(caught.value)


def test_secrets_are_masked_in_every_form(connection, key_fields, mocker):
    masked = mocker.patch("airflow_provider_dataflow.hooks.connection.mask_secret")
    connection(password="open sesame", delegation_token="obo")
    _ = DataFlowHook().access
    shown = {call.args[0] for call in masked.call_args_list}
    pem = key_fields["private_key_content"]
    assert {"open sesame", "obo", pem, pem.replace("\n", "\\n"), *pem.splitlines()[1:-1]} <= shown
