"""The npm packages, which sign requests in another format than the Python SDK. See README.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dataflow.local import LocalDataFlow

pytestmark = [pytest.mark.spark, pytest.mark.clients]
VARIABLE = "DATAFLOW_CLIENTS_NPM"
PACKAGES = ("oci-dataflow", "oci-objectstorage")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the packages in its node_modules."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE]).resolve()
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text("{}")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm install {' '.join(PACKAGES)} has timed out")
    if done.returncode:
        pytest.skip(f"npm install {' '.join(PACKAGES)} failed: {done.stderr.strip()[-300:]}")
    return folder


def run_script(name: str, modules: Path, local: LocalDataFlow, *arguments: str) -> Any:
    """Run a script and return its results, the JSON in the last line of its output."""
    profile = local.sdk_config | {"compartment": local.compartment_id}
    done = subprocess.run(
        ["node", str(Path(__file__).with_name(name)), local.endpoint, json.dumps(profile), *arguments],
        env=os.environ | {"NODE_PATH": str(modules / "node_modules")},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_npm_client_submits_watches_logs_lists_and_cancels(service, modules):
    result = run_script("client.js", modules, service.local, service.hello, service.sleeper)
    assert (result["state"], result["canceled"]) == ("SUCCEEDED", "CANCELED")
    assert "hello from a client" in result["output"]
    assert result["etag"]
    assert "spark_application_stdout.log.gz" in result["logs"]
    assert (result["listed"], result["next"]) == (1, True)


def test_npm_client_puts_gets_and_lists_objects(service, modules, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 1000)
    result = run_script("object_storage.js", modules, service.local, "npm", str(file))
    assert (result["namespaceName"], result["content"], result["part"]) == ("local", "grüße", "gr")
    assert (result["sameEtag"], result["meta"]) == (True, {"opc-meta-key": "v"})
    assert result["refused"] == [412, "IfNoneMatchFailed"]
    assert result["objects"] == [["a/b c+ü%.txt", 7], ["stream", 256_000]]
    assert (service.local.create_bucket("npm") / "stream").read_bytes() == file.read_bytes()
