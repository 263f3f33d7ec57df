"""Connection form in Airflow's UI, for the provider's metadata and for the hook's methods."""

from __future__ import annotations

from typing import Any

from airflow_provider_dataflow.hooks.auth_types import AUTH_TYPES


def _field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


#: ``conn-fields`` of the provider's metadata (Airflow 3.2 and later).
FIELDS: dict[str, dict[str, Any]] = {
    "auth_type": _field(
        "Auth type",
        "How to sign in. Except api_key, an administrator must allow it ([oci_data_flow] "
        "allowed_auth_types), or the DAG must choose it.",
        enum=[*AUTH_TYPES, None],
        # Without it, the form shows "null" for an empty field.
        values_display={"null": "api_key, the default"},
    ),
    "tenancy": _field("Tenancy OCID", "OCID of the tenancy of the user."),
    "fingerprint": _field("Key fingerprint", "Fingerprint of the API key: 16 hex pairs, from the console."),
    "private_key_content": _field(
        "Private key",
        "The API key in PEM form. Paste the whole file: line ends that the box loses are restored.",
        format="password",
    ),
    "region": _field("Region", "For example eu-frankfurt-1."),
    "compartment_id": _field("Compartment OCID", "The default compartment for runs."),
    "service_endpoint": _field(
        "Service endpoint", "Only for Local Data Flow or a private endpoint of the service."
    ),
    "object_storage_endpoint": _field(
        "Object Storage endpoint",
        "Only for a private endpoint of Object Storage. Local Data Flow has one endpoint for both.",
    ),
    "staging_uri": _field(
        "Staging URI", "Where tasks upload local code, for example oci://bucket@namespace/airflow."
    ),
    "delegation_token": _field(
        "Delegation token",
        "Token of the user to act for, for the two delegation auth types.",
        format="password",
    ),
}

#: ``ui-field-behaviour`` of the provider's metadata.
FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["host", "schema", "port"],
    "relabeling": {"login": "User OCID", "password": "Key passphrase"},
    "placeholders": {
        "login": "ocid1.user.oc1..aaaa...",
        "password": "only if the private key is encrypted",
        "extra": '{"service_endpoint": "http://127.0.0.1:8170"}',
        "tenancy": "ocid1.tenancy.oc1..aaaa...",
        "fingerprint": "12:34:56:78:9a:bc:de:f0:12:34:56:78:9a:bc:de:f0",
        "private_key_content": "-----BEGIN PRIVATE KEY----- ...",
        "region": "eu-frankfurt-1",
        "compartment_id": "ocid1.compartment.oc1..aaaa...",
    },
}


def field_behaviour() -> dict[str, Any]:
    """Return the result of a hook's ``get_ui_field_behaviour``."""
    return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}
