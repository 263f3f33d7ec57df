"""Where a person can look at a run."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from airflow_provider_dataflow.client.access import Access, is_loopback


def run_page_url(access: Access, run_id: str) -> str:
    """The run's page in OCI's console, or in Local Data Flow's."""
    endpoint = access.endpoint
    if is_loopback(urlsplit(endpoint).hostname or ""):
        return f"{endpoint}/console/runs/{quote(run_id, safe='')}"
    region = f"?region={access.region}" if access.region else ""
    return f"https://cloud.oracle.com/data-flow/runs/details/{quote(run_id, safe='')}{region}"
