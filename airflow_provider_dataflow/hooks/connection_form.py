"""The connection's form in Airflow's UI, said once for the two ways in which Airflow wants to hear it."""

from __future__ import annotations

from typing import Any

from airflow_provider_dataflow.hooks.auth_types import AUTH_TYPES


def _field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


#: Fields of the form, as ``conn-fields`` of the provider's metadata.
FIELDS: dict[str, dict[str, Any]] = {
    "auth_type": _field(
        "Auth type",
        "How to sign in. All but api_key need an administrator's consent ([oci_data_flow] "
        "allowed_auth_types), unless the DAG says so itself.",
        enum=[*AUTH_TYPES, None],
    ),
    "tenancy": _field("Tenancy OCID", "OCID of the tenancy of the user."),
    "fingerprint": _field("Key fingerprint", "Of the API key, as the console shows it: 16 hex pairs."),
    "private_key_content": _field("Private key", "The API key in PEM form.", format="password"),
    "region": _field("Region", "For example eu-frankfurt-1."),
    "compartment_id": _field("Compartment OCID", "The default compartment for runs."),
    "service_endpoint": _field(
        "Service endpoint", "Only for Local Data Flow or a private endpoint of the service."
    ),
    "delegation_token": _field(
        "Delegation token", "Of the user to act for; for the two delegation auth types.", format="password"
    ),
}

#: As ``ui-field-behaviour`` of the metadata.
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
    """As ``get_ui_field_behaviour`` of a hook."""
    return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}
