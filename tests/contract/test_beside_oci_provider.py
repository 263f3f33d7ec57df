"""With a stand-in for Airflow's proposed ``oci`` provider, which has the same connection type."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from tests.contract.airflow_process import ended_of, run_dag_file

DAG_FILE = Path(__file__).parent / "dags" / "beside_oci_provider.py"
PROVIDER = Path(__file__).parent / "oci_provider"
METADATA = "Metadata-Version: 2.1\nName: apache-airflow-providers-oci\nVersion: 0.1.0\n"
ENTRY_POINTS = (
    "[apache_airflow_provider]\nprovider_info = airflow.providers.oci.get_provider_info:get_provider_info\n"
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder for PYTHONPATH with the distribution."""
    site = tmp_path / "site"
    shutil.copytree(PROVIDER, site, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / "apache_airflow_providers_oci-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.mark.slow
def test_form_and_its_test_are_theirs_and_a_run_is_ours(tmp_path, site):
    with DataFlowFixture(tmp_path / "local", engine="scripted") as local:
        local.succeeds(duration=0.1)
        done = run_dag_file(tmp_path, DAG_FILE, PYTHONPATH=str(site), **local.environment)
        assert ended_of(done) == [("run", "success")], done.stderr[-3000:]
        assert [run["lifecycleState"] for run in local.runs] == ["SUCCEEDED"]
        endpoint = local.endpoint
    line = next(line for line in done.stderr.splitlines() if line.startswith("facts "))
    facts = json.loads(line.removeprefix("facts "))
    assert facts["providers"] == ["airflow-provider-dataflow", "apache-airflow-providers-oci"]
    assert facts["hook"] == "airflow.providers.oci.hooks.base_oci.OciBaseHook"
    # Of their form alone: it has no auth_type, service_endpoint and delegation_token.
    names = ("compartment_id", "fingerprint", "private_key_content", "region", "tenancy")
    assert facts["fields"] == [f"extra__oci__{name}" for name in names]
    # The extra service_endpoint, which their form does not have, is read all the same.
    assert facts["hook_test"] == [True, f"Data Flow responds at {endpoint}"]
    assert facts["button"] == [True, "tested by OciBaseHook; missing: []"]
    assert "already registered" not in done.stdout + done.stderr
