"""What Airflow's providers manager is told about this package."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

PACKAGE = "airflow-provider-dataflow"
INTEGRATION = "OCI Data Flow"


def get_provider_info() -> dict[str, Any]:
    """The ``apache_airflow_provider`` entry point."""
    info: dict[str, Any] = {
        "package-name": PACKAGE,
        "name": INTEGRATION,
        "description": "Runs Spark applications on Oracle Cloud Infrastructure Data Flow.",
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://docs.oracle.com/iaas/data-flow/using/home.htm",
                "tags": ["service"],
            }
        ],
        "operators": [
            _modules(
                "operators.application",
                "operators.manage_run",
                "operators.orphans",
                "operators.pool",
                "operators.run",
                "operators.statement",
            )
        ],
        "sensors": [_modules("sensors.run")],
        "hooks": [_modules("hooks.data_flow")],
        "triggers": [
            _modules(
                "triggers.pool", "triggers.run", "triggers.run_event", "triggers.statement", "triggers.submit"
            )
        ],
        "extra-links": [
            "airflow_provider_dataflow.links.run.LogsBucketLink",
            "airflow_provider_dataflow.links.run.RunLink",
        ],
        "config": _config(),
    }
    if not _airflow_has_its_own():
        info["connection-types"] = [_connection_type()]
    return info


def _modules(*names: str) -> dict[str, Any]:
    return {
        "integration-name": INTEGRATION,
        "python-modules": [f"airflow_provider_dataflow.{name}" for name in names],
    }


def _airflow_has_its_own() -> bool:
    """Airflow's own ``oci`` provider, where installed, owns the connection type; we read the same fields."""
    try:
        return find_spec("airflow.providers.oci") is not None
    except ModuleNotFoundError:
        return False


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "oci",
        "hook-class-name": "airflow_provider_dataflow.hooks.data_flow.DataFlowHook",
        "hook-name": "Oracle Cloud Infrastructure",
        "ui-field-behaviour": {
            "hidden-fields": ["host", "schema", "port"],
            "relabeling": {"login": "User OCID", "password": "Key passphrase"},
            "placeholders": {
                "login": "ocid1.user.oc1..aaaa...",
                "password": "only if the private key is encrypted",
                "extra": '{"service_endpoint": "http://127.0.0.1:8170"}',
            },
        },
        "conn-fields": {
            "tenancy": _text("Tenancy OCID", "OCID of the tenancy of the user."),
            "fingerprint": _text("Key fingerprint", "Of the API key, as the console shows it: 16 hex pairs."),
            "private_key_content": {
                "label": "Private key",
                "description": "The API key in PEM form.",
                "schema": {"type": ["string", "null"], "format": "password"},
            },
            "region": _text("Region", "For example eu-frankfurt-1."),
            "compartment_id": _text("Compartment OCID", "The default compartment for runs."),
            "service_endpoint": _text(
                "Service endpoint", "Only for Local Data Flow or a private endpoint of the service."
            ),
        },
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _config() -> dict[str, Any]:
    return {
        "oci_data_flow": {
            "description": "Settings of the provider for OCI Data Flow.",
            "options": {
                "allowed_endpoints": {
                    "description": (
                        "Hosts, with commas between, that signed requests may be sent to "
                        "beside OCI's own and loopback."
                    ),
                    "version_added": "0.1.0",
                    "type": "string",
                    "example": "dataflow.internal.example",
                    "default": "",
                },
                "deployment_id": {
                    "description": (
                        "Names this Airflow in the tags of its runs, so that several can share a "
                        "compartment. Default: [api] base_url."
                    ),
                    "version_added": "0.1.0",
                    "type": "string",
                    "example": "production",
                    "default": "",
                },
                "max_requests_per_second": {
                    "description": (
                        "How many requests a triggerer sends through one connection in a second, at most. "
                        "It lowers that by itself for a while when the service answers 429."
                    ),
                    "version_added": "0.1.0",
                    "type": "float",
                    "example": "5",
                    "default": "20",
                },
            },
        }
    }
