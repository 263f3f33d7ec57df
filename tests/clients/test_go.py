"""The Go SDK, in the program in the folder ``go``. See README.md."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli.client_config import write_oci_config

pytestmark = [pytest.mark.spark, pytest.mark.clients, pytest.mark.slow]
SOURCES = Path(__file__).with_name("go")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled program. Go's caches make all builds but the first one fast."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([go, *arguments], cwd=SOURCES, capture_output=True, text=True, timeout=600)

    downloaded = run("mod", "download")
    if downloaded.returncode:
        pytest.skip(f"go mod download failed: {downloaded.stderr.strip()[-300:]}")
    path = tmp_path_factory.mktemp("go") / "client"
    built = run("build", "-o", str(path), ".")
    assert built.returncode == 0, built.stderr
    return path


def run_program(program: Path, local: LocalDataFlow, command: str, *arguments: str) -> Any:
    """Run a command of the program. Return its results."""
    config = write_oci_config(local.identity, local.home / "identity")
    done = subprocess.run(
        [program, command, local.endpoint, config, local.compartment_id, *arguments],
        capture_output=True,
        text=True,
        timeout=320,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_go_client_creates_submits_waits_reads_logs_cancels_and_lists(service, program):
    result = run_program(program, service.local, "runs", "oci://data@ns/hello.py", service.sleeper)
    assert (result["applications"], result["tags"]) == (1, {"client": "ä"})
    assert (result["state"], result["ocpus"], result["started"]) == ("SUCCEEDED", 2, True)
    assert "spark_application_stdout.log.gz" in result["logs"]
    assert "hello from a client" in result["output"]
    assert (result["canceled"], result["listed"]) == ("CANCELED", 2)
    assert result["missing"] == [404, "NotAuthorizedOrNotFound"]


def test_go_client_puts_gets_lists_and_deletes_objects(service, program):
    result = run_program(program, service.local, "objects", "go")
    assert (result["namespace"], result["content"], result["meta"]) == ("local", "grüße", {"key": "v"})
    assert result["sameEtag"]
    assert (result["before"], result["after"]) == (["a/b c+ü%.txt"], [])
