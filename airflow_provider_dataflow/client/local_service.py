"""Local Data Flow, where it differs from the service: its runs have the Python of this machine."""

from __future__ import annotations

import json
import logging
import sys
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from airflow_provider_dataflow.client.auth.access import is_loopback

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0


def is_local_service(endpoint: str) -> bool:
    """Return whether a connection's endpoint is a Local Data Flow, which listens on loopback only."""
    return is_loopback(urlsplit(endpoint).hostname or "")


def local_python_version(endpoint: str) -> str:
    """Return the Python of the runs of a Local Data Flow, for example ``3.11``.

    A server that does not tell, because it is an older version or executes nothing, is taken to have the
    Python of this process.
    """
    version = None
    try:
        # No proxy: the host is this machine.
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{endpoint}/_local/health", timeout=_TIMEOUT_SECONDS) as response:
            version = json.load(response).get("pythonVersion")
    except (OSError, ValueError, AttributeError) as error:
        log.warning("Cannot ask %s for the Python of its runs: %s", endpoint, error)
    return str(version or f"{sys.version_info.major}.{sys.version_info.minor}")
