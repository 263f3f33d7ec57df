"""Metadata as in the provider that is proposed to Airflow (apache/airflow PR 70160): its connection form."""

from __future__ import annotations

from typing import Any


def _field(label: str, **schema: str) -> dict[str, Any]:
    return {"label": label, "schema": {"type": ["string", "null"], **schema}}


def get_provider_info() -> dict[str, Any]:
    return {
        "package-name": "apache-airflow-providers-oci",
        "name": "Oracle Cloud Infrastructure (OCI)",
        "description": "Stand-in for tests.",
        "connection-types": [
            {
                "connection-type": "oci",
                "hook-class-name": "airflow.providers.oci.hooks.base_oci.OciBaseHook",
                "hook-name": "Oracle Cloud Infrastructure (OCI)",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "port"],
                    "relabeling": {"login": "User OCID", "password": "Private key passphrase"},
                },
                "conn-fields": {
                    "tenancy": _field("Tenancy OCID"),
                    "fingerprint": _field("Fingerprint"),
                    "private_key_content": _field("Private key", format="password"),
                    "region": _field("Region"),
                    "compartment_id": _field("Compartment OCID"),
                },
            }
        ],
    }
