"""The start step of action.yml, which others' workflows use, run as a runner runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import yaml
from airflow.models.connection import Connection

from airflow_provider_dataflow.hooks.data_flow import DataFlowHook

ACTION = yaml.safe_load((Path(__file__).parents[2] / "action.yml").read_text())


def start(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the step as ``shell: bash`` does. Each ``${{ inputs.name }}`` gets its value or default."""
    [step] = [step for step in ACTION["runs"]["steps"] if step.get("id") == "start"]
    values = {name: entry["default"] for name, entry in ACTION["inputs"].items()} | inputs
    environment = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: values[match[1]], value)
        for name, value in step["env"].items()
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder,
        env=os.environ
        | environment
        | {
            "GITHUB_ENV": str(folder / "env"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


def variables(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def test_action_starts_a_server_and_exports_the_connection(tmp_path, monkeypatch, unused_tcp_port):
    done = start(tmp_path, engine="scripted", port=str(unused_tcp_port))
    assert done.returncode == 0, done.stdout + done.stderr
    exported = variables(tmp_path / "env")
    server = json.loads(Path(exported["DATAFLOW_LOCAL_HOME"], "server.json").read_text())
    try:
        connection = Connection.from_json(exported["AIRFLOW_CONN_OCI_DEFAULT"], conn_id="oci_default")
        endpoint = variables(tmp_path / "output")["endpoint"]
        assert connection.extra_dejson["service_endpoint"] == endpoint
        monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", exported["AIRFLOW_CONN_OCI_DEFAULT"])
        assert DataFlowHook().test_connection()[0]
    finally:
        os.kill(server["pid"], signal.SIGTERM)


def test_action_says_why_the_server_did_not_start(tmp_path):
    done = start(tmp_path, engine="unknown")
    assert done.returncode == 1
    assert "'unknown' is not one of spark, scripted" in done.stdout
    assert "::error::" in done.stdout
