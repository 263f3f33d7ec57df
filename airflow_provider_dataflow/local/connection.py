"""What to paste where, for a client to reach a server."""

from __future__ import annotations

import json
import shlex
from typing import Any

from airflow_provider_dataflow.local.keys import Identity

CONNECTION_VARIABLE = "AIRFLOW_CONN_OCI_DEFAULT"


def airflow_connection(identity: Identity, endpoint: str) -> dict[str, Any]:
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
    """The value of ``AIRFLOW_CONN_OCI_DEFAULT``."""
    return json.dumps(airflow_connection(identity, endpoint))


def connection_line(identity: Identity, endpoint: str) -> str:
    """The line to paste into a shell or a .env file."""
    return f"{CONNECTION_VARIABLE}={shlex.quote(connection_json(identity, endpoint))}"


def sdk_config(identity: Identity) -> dict[str, str]:
    """The ``config`` of a client of the ``oci`` SDK."""
    return {
        "tenancy": identity.tenancy,
        "user": identity.user,
        "fingerprint": identity.fingerprint,
        "key_content": identity.private_key,
        "region": identity.region,
    }
