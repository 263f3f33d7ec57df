"""Queries of the process that runs Local Data Flow."""

from __future__ import annotations

from pathlib import Path

import httpx

from airflow_provider_dataflow.local import LocalDataFlow
from dev.local_service import LocalService


def test_runs_are_not_limited(tmp_path: Path) -> None:
    """Without a limit, the server returns the newest 1000 runs."""
    service = LocalService(tmp_path)
    with (
        LocalDataFlow(tmp_path, engine="scripted", verify=False) as local,
        httpx.Client(base_url=f"{local.endpoint}/20200129", trust_env=False) as client,
    ):
        body = {"compartmentId": local.compartment_id, "execute": "oci://b@local/app.py"}
        application = client.post("/runs", json=body).raise_for_status().json()["applicationId"]
        body = {"compartmentId": local.compartment_id, "applicationId": application}
        for _ in range(1000):
            client.post("/runs", json=body).raise_for_status()
        assert len({run["id"] for run in service.runs()}) == 1001
