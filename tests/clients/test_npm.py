"""The npm package oci-dataflow, which signs requests in another format than the Python SDK. See README.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.clients]
VARIABLE = "DATAFLOW_CLIENTS_NPM"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with oci-dataflow in its node_modules."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE]).resolve()
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text("{}")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "oci-dataflow"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        pytest.skip("npm install oci-dataflow has timed out")
    if done.returncode:
        pytest.skip(f"npm install oci-dataflow failed: {done.stderr.strip()[-300:]}")
    return folder


def test_npm_client_submits_watches_logs_lists_and_cancels(service, modules):
    local = service.local
    profile = local.sdk_config | {"compartment": local.compartment_id}
    script = Path(__file__).with_name("client.js")
    done = subprocess.run(
        ["node", str(script), local.endpoint, json.dumps(profile), service.hello, service.sleeper],
        env=os.environ | {"NODE_PATH": str(modules / "node_modules")},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["state"], result["canceled"]) == ("SUCCEEDED", "CANCELED")
    assert "hello from a client" in result["output"]
    assert result["etag"]
    assert "spark_application_stdout.log.gz" in result["logs"]
    assert (result["listed"], result["next"]) == (1, True)
