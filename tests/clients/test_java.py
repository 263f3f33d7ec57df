"""The Java SDK, in the program in the folder ``java``, which Maven builds. See README.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli.client_config import write_oci_config

pytestmark = [pytest.mark.spark, pytest.mark.clients, pytest.mark.slow]
SOURCES = Path(__file__).with_name("java")


@pytest.fixture(scope="module")
def class_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the class path of the compiled program and its dependencies."""
    maven = shutil.which("mvn")
    if maven is None or shutil.which("javac") is None:
        pytest.skip("Maven or the JDK is not installed")
    folder = tmp_path_factory.mktemp("java") / "client"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("target"))
    built = subprocess.run(
        [maven, "-q", "-B", "package"], cwd=folder, capture_output=True, text=True, timeout=600
    )
    unresolved = re.search("Could not (?:transfer|find) artifact .*|Could not resolve .*", built.stdout)
    if built.returncode and unresolved:
        pytest.skip(f"mvn package failed: {unresolved[0][-300:]}")
    assert built.returncode == 0, built.stdout
    return f"{folder / 'target/client-1.jar'}:{folder / 'target/dependency'}/*"


def run_program(class_path: str, local: LocalDataFlow, command: str, *arguments: str) -> Any:
    """Run a command of the program. Return its results."""
    config = write_oci_config(local.identity, local.home / "identity")
    done = subprocess.run(
        [
            "java",
            "-cp",
            class_path,
            "Client",
            command,
            local.endpoint,
            config,
            local.compartment_id,
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=320,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_java_client_creates_submits_waits_reads_logs_cancels_and_lists(service, class_path):
    result = run_program(class_path, service.local, "runs", "oci://data@ns/hello.py", service.sleeper)
    assert (result["applications"], result["tags"]) == (1, {"client": "ä"})
    assert (result["state"], result["ocpus"]) == ("SUCCEEDED", 2)
    assert "spark_application_stdout.log.gz" in result["logs"]
    assert "hello from a client" in result["output"]
    assert (result["canceled"], result["listed"]) == ("CANCELED", 2)
    assert result["missing"] == [404, "NotAuthorizedOrNotFound"]


def test_java_client_puts_gets_lists_and_deletes_objects(service, class_path):
    result = run_program(class_path, service.local, "objects", "java")
    assert (result["namespace"], result["content"], result["meta"]) == ("local", "grüße", {"key": "v"})
    assert result["sameEtag"]
    assert (result["before"], result["after"]) == (["a/b c+ü%.txt"], [])
