from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization

from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.exceptions import InvalidConnection


def test_valid_key_signs_in(key_fields):
    sign_in = ApiKey(**key_fields).sign_in()
    assert sign_in.key_id == "/".join(key_fields[name] for name in ("tenancy", "user", "fingerprint"))


def test_escaped_line_ends_are_accepted(key_fields):
    escaped = key_fields["private_key_content"].replace("\n", "\\n")
    ApiKey(**key_fields | {"private_key_content": escaped}).sign_in()


def test_encrypted_key_is_loaded_with_its_passphrase(key_fields, private_key):
    encrypted = private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open sesame"),
    ).decode()
    fields = key_fields | {"private_key_content": encrypted}
    ApiKey(**fields, pass_phrase="open sesame").sign_in()
    with pytest.raises(InvalidConnection, match=r"^password: .*needs its passphrase"):
        ApiKey(**fields).sign_in()
    with pytest.raises(InvalidConnection, match="password is not its passphrase"):
        ApiKey(**fields, pass_phrase="open barley").sign_in()


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("user", "", "login: missing"),
        ("user", "me@example.com", "login: expected an OCID like ocid1.user"),
        ("tenancy", "", "tenancy: missing"),
        ("tenancy", "ocid1.user.oc1..x", "tenancy: expected an OCID like ocid1.tenancy"),
        ("fingerprint", "", "fingerprint: missing"),
        ("fingerprint", "12:34", "fingerprint: expected 16 pairs"),
        ("private_key_content", "", "private_key_content: missing"),
    ],
)
def test_a_missing_or_malformed_field_is_named(key_fields, field, value, problem):
    with pytest.raises(InvalidConnection) as caught:
        ApiKey(**key_fields | {field: value})
    assert str(caught.value).startswith(problem)


def test_invalid_key_is_refused_without_quoting_it(key_fields):
    content = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LW1hcmtlcg==\n-----END PRIVATE KEY-----"
    with pytest.raises(InvalidConnection, match=r"^private_key_content: ") as caught:
        ApiKey(**key_fields | {"private_key_content": content}).sign_in()
    assert "c2VjcmV0" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_key_and_fingerprint_must_match(key_fields):
    other = ":".join(["00"] * 16)
    with pytest.raises(InvalidConnection, match=r"its fingerprint is .* but fingerprint says 00:00"):
        ApiKey(**key_fields | {"fingerprint": other}).sign_in()


def test_repr_contains_no_secret(key_fields):
    text = repr(ApiKey(**key_fields, pass_phrase="open sesame"))
    assert "PRIVATE KEY" not in text
    assert "sesame" not in text
