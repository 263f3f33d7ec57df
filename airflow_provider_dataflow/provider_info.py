"""Metadata of this package for Airflow's providers manager."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from airflow_provider_dataflow.hooks import connection_form as form

PACKAGE = "airflow-provider-dataflow"
INTEGRATION = "OCI Data Flow"


def get_provider_info() -> dict[str, Any]:
    """Return the metadata. Entry point ``apache_airflow_provider``."""
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
                "operators.session",
                "operators.sql_endpoint",
                "operators.statement",
            )
        ],
        "sensors": [_modules("sensors.run")],
        "hooks": [_modules("hooks.data_flow")],
        "triggers": [
            _modules(
                "triggers.pool",
                "triggers.run",
                "triggers.run_event",
                "triggers.sql_endpoint",
                "triggers.statement",
                "triggers.submit",
            )
        ],
        "asset-uris": [
            {
                "schemes": ["oci"],
                "handler": "airflow_provider_dataflow.assets.oci.sanitize_uri",
                "factory": "airflow_provider_dataflow.assets.oci.create_asset",
                "to_openlineage_converter": (
                    "airflow_provider_dataflow.assets.oci.convert_asset_to_openlineage"
                ),
            }
        ],
        "filesystems": ["airflow_provider_dataflow.fs.oci"],
        "extra-links": [
            "airflow_provider_dataflow.links.run.LogsBucketLink",
            "airflow_provider_dataflow.links.run.RunLink",
        ],
        "task-decorators": [
            {
                "class-name": "airflow_provider_dataflow.decorators.data_flow.data_flow_task",
                "name": "oci_data_flow",
            }
        ],
        # Read by Airflow 3.2 and later; without it, use "python -m airflow_provider_dataflow.cli".
        "cli": ["airflow_provider_dataflow.cli.airflow_commands.get_provider_cli_commands"],
        "config": _config(),
    }
    if not _has_oci_provider():
        info["connection-types"] = [_connection_type()]
    return info


def _modules(*names: str) -> dict[str, Any]:
    return {
        "integration-name": INTEGRATION,
        "python-modules": [f"airflow_provider_dataflow.{name}" for name in names],
    }


def _has_oci_provider() -> bool:
    """Return whether Airflow's ``oci`` provider is installed, which defines the same connection type."""
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
                    "Additional hosts that signed requests may be sent to, separated by commas. OCI's own "
                    "hosts and loopback are always allowed.",
                    "dataflow.internal.example",
                ),
                "allowed_auth_types": _option(
                    "Values of auth_type that a connection may use besides api_key, separated by commas: "
                    "config_file, security_token, instance_principal, resource_principal, "
                    "oke_workload_identity, instance_principal_delegation, resource_principal_delegation. "
                    "Anyone who can edit a connection can then make workers read the configuration file "
                    "below, or use the identity of the machine that they run on.",
                    "instance_principal",
                ),
                "config_file": _option(
                    "Path of the SDK's configuration file on workers, for auth_type config_file and "
                    "security_token. Default: the environment variable OCI_CONFIG_FILE, or ~/.oci/config.",
                    "/etc/oci/config",
                ),
                "profile": _option("Section of the configuration file. Default: DEFAULT.", "airflow"),
                "deployment_id": _option(
                    "Name of this Airflow in the tags of its runs, so that several can share a compartment. "
                    "Default: [api] base_url.",
                    "production",
                ),
                "staging_uri": _option(
                    "Bucket or prefix of Object Storage to which tasks upload local code, unless the task or "
                    "its connection has a staging_uri of its own.",
                    "oci://bucket@namespace/airflow",
                ),
                "price_per_ocpu_hour": _option(
                    "Price of an OCPU for an hour, for the estimated cost of runs. Default: no estimate.",
                    "0.025",
                ),
                "price_per_gb_hour": _option(
                    "Price of a GB of memory for an hour, for the estimated cost of runs. Leave it out for "
                    "shapes whose memory is in the price of the OCPU.",
                    "0.0015",
                ),
                "currency": _option("Currency of both prices, shown with the estimated cost.", "EUR"),
                "defined_tags": _option(
                    "Defined tags as JSON, for OCI's cost tracking. Each run, pool and SQL endpoint that a "
                    "task creates gets them, unless its own defined_tags have the same key.",
                    '{"Finance": {"CostCenter": "42"}}',
                ),
                "no_event_before": _option(
                    "Seconds from the start of a trigger to its first event. Airflow fails a task whose "
                    "event arrives before the scheduler has seen the end of its worker, so increase this if "
                    "the scheduler is slow.",
                    "30",
                    type="float",
                    default="10",
                ),
                "sweep_interval": _option(
                    "Seconds between two looks of a triggerer for tasks that were killed while they were "
                    "deferred and whose trigger did not hear of it. It cancels their runs. 0: never.",
                    "60",
                    type="float",
                    default="15",
                ),
                "max_requests_per_second": _option(
                    "Maximum rate of the requests that a triggerer sends through one connection, submits "
                    "and cancels included. It lowers the rate for a while when the service responds with "
                    "429. If the polls of all waiting tasks need more, all of them are polled less often.",
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
        "version_added": "1.0.0",
        "type": type,
        "example": example,
        "default": default,
    }
