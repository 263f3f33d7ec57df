"""Jobs of oracle-ads, in the Python interpreter that DATAFLOW_CLIENTS_ADS names. See README.md."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import oci
import pytest

from airflow_provider_dataflow.local.cli.client_config import ocifs_line, write_oci_config

pytestmark = [pytest.mark.spark, pytest.mark.clients]
VARIABLE = "DATAFLOW_CLIENTS_ADS"
ARGUMENTS = 'import os, sys\nprint(os.environ["GREETING"])\nprint(sys.argv[1:])\n'


def test_ads_submits_watches_logs_lists_and_cancels(service, tmp_path):
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} must be the path of a Python with oracle-ads; see tests/clients/README.md")
    local = service.local
    arguments = tmp_path / "arguments.py"
    arguments.write_text(ARGUMENTS)
    local.create_bucket("logs", "ns")
    config = write_oci_config(local.identity, local.home / "identity")
    script, results_file = Path(__file__).with_name("ads_client.py"), tmp_path / "results.json"
    (line,) = shlex.split(ocifs_line(local.endpoint, config))
    variable, _, value = line.partition("=")
    done = subprocess.run(
        [
            python,
            str(script),
            local.endpoint,
            str(config),
            local.compartment_id,
            str(arguments),
            str(results_file),
        ],
        # oracle-ads does not pass the endpoint to ocifs, with which it uploads.
        env=os.environ | {variable: value},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(results_file.read_text())

    assert results["state"] == "SUCCEEDED"
    assert results["stdout"] == "hello from ADS\n['--month', '2013-01']" == results["downloaded"]
    assert results["last line"] == "['--month', '2013-01']"
    assert "the run gets Spark" in results["driver"]
    details = results["details"]
    assert (details["freeformTags"], details["totalOCpu"]) == ({"a": "ä"}, 5)
    assert details["runDurationInMilliseconds"] > 0
    assert results["stdout with default arguments"].endswith("['default argument']")
    assert results["runs"] == [["second", "SUCCEEDED"], ["first", "SUCCEEDED"]]

    assert (local.home / "buckets" / "ns" / "data" / "arguments.py").read_text() == ARGUMENTS
    loaded = results["loaded job"]
    assert loaded["name"] == "by ADS"
    assert loaded["infrastructure"]["spec"]["executorShapeConfig"] == {"ocpus": 2, "memoryInGBs": 16}
    assert loaded["infrastructure"]["spec"]["freeformTags"] == {"team": "weather"}
    assert loaded["runtime"]["spec"]["scriptPathURI"] == "oci://data@ns/arguments.py"
    assert "by ADS" in results["jobs"]

    assert results["canceled"] == ["CANCELED", "CANCELED"]
    client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
    assert client.get_application(results["deleted"]).data.lifecycle_state == "DELETED"
