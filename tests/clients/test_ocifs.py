"""Objects with ocifs, in the Python interpreter that DATAFLOW_CLIENTS_ADS names. See README.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.cli.client_config import write_oci_config

pytestmark = [pytest.mark.spark, pytest.mark.clients]
VARIABLE = "DATAFLOW_CLIENTS_ADS"


def test_ocifs_writes_lists_reads_copies_and_deletes(service, tmp_path):
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} must be the path of a Python with ocifs; see tests/clients/README.md")
    local = service.local
    config = write_oci_config(local.identity, local.home / "identity")
    script, results_file = Path(__file__).with_name("ocifs_client.py"), tmp_path / "results.json"
    done = subprocess.run(
        [python, str(script), local.endpoint, str(config), local.compartment_id, str(results_file)],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(results_file.read_text())
    assert results["text"] == "grüße"
    assert (results["large"], results["copied"], results["size"]) == (True, True, 256 * 24 * 1024)
    assert results["part"] == [n % 256 for n in range(1000, 1010)]
    assert results["listed"] == ["ocifs@local/a/large", "ocifs@local/a/small ü.txt"]
    assert results["found"] == [*results["listed"], "ocifs@local/b/copy"]
    assert "ocifs@local" in results["buckets"]
    assert results["left"] == ["ocifs@local/b/copy"]
    assert results["bucket exists"] is False
    assert not (local.home / "buckets" / "local" / "ocifs").exists()
