"""Configuration by which Airflow, the ``oci`` CLI and the ``oci`` SDK connect to a server."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local.http.keys import KEY_FILE, Identity
from airflow_provider_dataflow.local.state.buckets import DEFAULT_NAMESPACE

CONNECTION_VARIABLE = "AIRFLOW_CONN_OCI_DEFAULT"
# fsspec reads the options of a file system from variables of this form.
OCIFS_VARIABLE = "FSSPEC_OCI"
# Terraform's provider reads the endpoints of services from this variable.
TERRAFORM_VARIABLE = "CLIENT_HOST_OVERRIDES"


def airflow_connection(identity: Identity, endpoint: str) -> dict[str, Any]:
    """Return the fields of the Airflow connection."""
    return {
        "conn_type": "oci",
        "login": identity.user,
        "extra": {
            "tenancy": identity.tenancy,
            "fingerprint": identity.fingerprint,
            "private_key_content": identity.private_key,
            "region": identity.region,
            "compartment_id": identity.compartment_id,
            "service_endpoint": endpoint,
        },
    }


def connection_json(identity: Identity, endpoint: str) -> str:
    """Return the value of ``AIRFLOW_CONN_OCI_DEFAULT``."""
    return json.dumps(airflow_connection(identity, endpoint))


def connection_line(identity: Identity, endpoint: str) -> str:
    """Return the line to paste into a shell or an ``.env`` file."""
    return f"{CONNECTION_VARIABLE}={shlex.quote(connection_json(identity, endpoint))}"


def sdk_config(identity: Identity) -> dict[str, str]:
    """Return the ``config`` for a client of the ``oci`` SDK."""
    return {
        "tenancy": identity.tenancy,
        "user": identity.user,
        "fingerprint": identity.fingerprint,
        "key_content": identity.private_key,
        "region": identity.region,
    }


def write_oci_config(identity: Identity, folder: Path) -> Path:
    """Write the configuration file of the ``oci`` CLI, readable by its owner only, and return its path.

    :param folder: must contain the private key, ``api_key.pem``
    """
    path = folder / "config"
    values = {k: v for k, v in sdk_config(identity).items() if k != "key_content"}
    values["key_file"] = str(folder / KEY_FILE)
    content = "[DEFAULT]\n" + "".join(f"{k}={v}\n" for k, v in values.items())
    if not path.exists() or path.read_text() != content:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(content)
    return path


def oci_cli_lines(identity: Identity, endpoint: str, config: Path) -> str:
    """Return complete commands of the ``oci`` CLI for Data Flow and Object Storage, as examples."""
    options = f"--config-file {shlex.quote(str(config))} --endpoint {endpoint}"
    compartment = f"--compartment-id {identity.compartment_id}"
    return f"oci {options} data-flow run list {compartment}\noci {options} os bucket list {compartment}\n"


def sdk_lines(identity: Identity, endpoint: str, config: Path) -> str:
    """Return lines of Python that list runs and buckets with the ``oci`` SDK."""
    compartment = identity.compartment_id
    return (
        "import oci\n\n"
        f"config = oci.config.from_file({str(config)!r})\n"
        f"client = oci.data_flow.DataFlowClient(config, service_endpoint={endpoint!r})\n"
        f"runs = client.list_runs({compartment!r}).data\n"
        f"objects = oci.object_storage.ObjectStorageClient(config, service_endpoint={endpoint!r})\n"
        f"buckets = objects.list_buckets({DEFAULT_NAMESPACE!r}, {compartment!r}).data\n"
    )


def ocifs_line(endpoint: str, config: Path) -> str:
    """Return the line to paste into a shell or ``.env`` file, by which ``ocifs`` and pandas find a server."""
    options = {"config": str(config), "config_kwargs": {"service_endpoint": endpoint}}
    return f"{OCIFS_VARIABLE}={shlex.quote(json.dumps(options))}"


def terraform_environment(endpoint: str) -> dict[str, str]:
    """Return the environment variable by which Terraform's provider finds a server."""
    return {TERRAFORM_VARIABLE: f"oci_dataflow.DataFlowClient={endpoint}"}


def terraform_lines(identity: Identity, endpoint: str, folder: Path) -> str:
    """Return a Terraform file with the provider block, and the environment variable in a comment.

    :param folder: contains the private key, ``api_key.pem``
    """
    arguments = {
        "tenancy_ocid": identity.tenancy,
        "user_ocid": identity.user,
        "fingerprint": identity.fingerprint,
        "private_key_path": str(folder / KEY_FILE),
        "region": identity.region,
    }
    width = max(map(len, arguments))
    variables = [f"#   export {k}={shlex.quote(v)}" for k, v in terraform_environment(endpoint).items()]
    lines = [
        "# The endpoint is in the environment of terraform:",
        *variables,
        'provider "oci" {',
        *(f"  {name:<{width}} = {_hcl_string(value)}" for name, value in arguments.items()),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _hcl_string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
