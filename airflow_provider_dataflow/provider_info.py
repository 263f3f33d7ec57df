"""What Airflow's providers manager is told about this package."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from airflow_provider_dataflow.hooks import connection_form as form

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
        "ui-field-behaviour": form.FIELD_BEHAVIOUR,
        "conn-fields": form.FIELDS,
    }


def _config() -> dict[str, Any]:
    return {
        "oci_data_flow": {
            "description": "Settings of the provider for OCI Data Flow.",
            "options": {
                "allowed_endpoints": _option(
                    "Hosts, with commas between, that signed requests may be sent to beside OCI's own and "
                    "loopback.",
                    "dataflow.internal.example",
                ),
                "allowed_auth_types": _option(
                    "What a connection may choose as its auth_type by itself, with commas between, beside "
                    "api_key: config_file, security_token, instance_principal, resource_principal, "
                    "oke_workload_identity, instance_principal_delegation, resource_principal_delegation. "
                    "Whoever can edit a connection can then make workers read the configuration file below, "
                    "or use the identity of where they run.",
                    "instance_principal",
                ),
                "config_file": _option(
                    "The SDK's configuration file on workers, for auth_type config_file and security_token. "
                    "Default: ~/.oci/config, or what OCI_CONFIG_FILE names.",
                    "/etc/oci/config",
                ),
                "profile": _option("Section of that file. Default: DEFAULT.", "airflow"),
                "deployment_id": _option(
                    "Names this Airflow in the tags of its runs, so that several can share a compartment. "
                    "Default: [api] base_url.",
                    "production",
                ),
                "no_event_before": _option(
                    "How many seconds a trigger waits before it answers. Airflow fails a task whose trigger "
                    "answers before the scheduler has heard that the worker is done, so a scheduler that is "
                    "slower than that needs more.",
                    "30",
                    type="float",
                    default="10",
                ),
                "max_requests_per_second": _option(
                    "How many requests a triggerer sends through one connection in a second, at most. It "
                    "lowers that by itself for a while when the service answers 429.",
                    "5",
                    type="float",
                    default="20",
                ),
            },
        }
    }


def _option(description: str, example: str, *, type: str = "string", default: str = "") -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": type,
        "example": example,
        "default": default,
    }
