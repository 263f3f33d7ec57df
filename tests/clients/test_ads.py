"""oracle-ads' jobs, in the Python that DATAFLOW_CLIENTS_ADS names. See README.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import oci
import pytest

from airflow_provider_dataflow.local.cli.connection_text import write_oci_config

pytestmark = [pytest.mark.spark, pytest.mark.clients]
VARIABLE = "DATAFLOW_CLIENTS_ADS"
ARGUMENTS = 'import os, sys\nprint(os.environ["GREETING"])\nprint(sys.argv[1:])\n'


def test_submit_watch_logs_list_cancel(service, tmp_path):
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no Python with oracle-ads; see tests/clients/README.md")
    local = service.local
    (local.create_bucket("data", "ns") / "arguments.py").write_text(ARGUMENTS)
    local.create_bucket("logs", "ns")
    config = write_oci_config(local.identity, local.home / "identity")
    script, target = Path(__file__).with_name("ads_client.py"), tmp_path / "found.json"
    done = subprocess.run(
        [python, str(script), local.endpoint, str(config), local.compartment_id, str(target)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(target.read_text())

    assert found["state"] == "SUCCEEDED"
    assert found["stdout"] == "hello from ADS\n['--month', '2013-01']" == found["downloaded"]
    assert found["last line"] == "['--month', '2013-01']"
    assert "this is Spark" in found["driver"]
    details = found["details"]
    assert (details["freeformTags"], details["totalOCpu"]) == ({"a": "ä"}, 5)
    assert details["runDurationInMilliseconds"] > 0
    assert found["arguments of the job"].endswith("['of the job']")
    assert found["runs"] == [["second", "SUCCEEDED"], ["first", "SUCCEEDED"]]

    again = found["again"]
    assert again["name"] == "by ADS"
    assert again["infrastructure"]["spec"]["executorShapeConfig"] == {"ocpus": 2, "memoryInGBs": 16}
    assert again["infrastructure"]["spec"]["freeformTags"] == {"team": "weather"}
    assert again["runtime"]["spec"]["scriptPathURI"] == "oci://data@ns/arguments.py"
    assert "by ADS" in found["jobs"]

    assert found["canceled"] == ["CANCELED", "CANCELED"]
    client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
    assert client.get_application(found["deleted"]).data.lifecycle_state == "DELETED"
