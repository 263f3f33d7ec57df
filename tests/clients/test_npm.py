"""Programs in TypeScript with the npm packages, which sign requests in another format than the Python SDK.

See README.md.
"""

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
PACKAGES = ("oci-dataflow", "oci-objectstorage", "typescript@7", "@types/node@20")
PROGRAMS = ("client.ts", "object_storage.ts")
COMPILER_OPTIONS = (
    *("--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--types", "node"),
    *("--outDir", "out"),
)


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


@pytest.fixture(scope="module")
def programs(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the compiled programs. The compiler checks their use of the packages' types."""
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(modules / "node_modules")
    for name in PROGRAMS:
        shutil.copy(Path(__file__).with_name(name), folder)
    done = subprocess.run(
        [folder / "node_modules/.bin/tsc", *COMPILER_OPTIONS, *PROGRAMS],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout
    return folder / "out"


def run_program(path: Path, local: LocalDataFlow, *arguments: str) -> Any:
    """Run a program and return its results, the JSON in the last line of its output."""
    profile = local.sdk_config | {"compartment": local.compartment_id}
    done = subprocess.run(
        ["node", str(path), local.endpoint, json.dumps(profile), *arguments],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_npm_client_submits_watches_logs_lists_and_cancels(service, programs):
    result = run_program(programs / "client.js", service.local, service.hello, service.sleeper)
    assert (result["state"], result["canceled"]) == ("SUCCEEDED", "CANCELED")
    assert "hello from a client" in result["output"]
    assert result["etag"]
    assert "spark_application_stdout.log.gz" in result["logs"]
    assert (result["listed"], result["next"]) == (1, True)


def test_npm_client_puts_gets_and_lists_objects(service, programs, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 1000)
    result = run_program(programs / "object_storage.js", service.local, "npm", str(file))
    assert (result["namespaceName"], result["content"], result["part"]) == ("local", "grüße", "gr")
    assert (result["sameEtag"], result["meta"]) == (True, {"opc-meta-key": "v"})
    assert result["refused"] == [412, "IfNoneMatchFailed"]
    assert result["objects"] == [["a/b c+ü%.txt", 7], ["stream", 256_000]]
    assert (service.local.create_bucket("npm") / "stream").read_bytes() == file.read_bytes()
