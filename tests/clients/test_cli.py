"""The oci command, as found on PATH or named by DATAFLOW_CLIENTS_OCI: every command takes some seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.clients]


@pytest.fixture(scope="module")
def cli(service, tmp_path_factory):
    command = os.environ.get("DATAFLOW_CLIENTS_OCI") or shutil.which("oci")
    if command is None:
        pytest.skip("there is no oci command on PATH; see tests/clients/README.md")
    local, folder = service.local, tmp_path_factory.mktemp("cli")
    key = folder / "key.pem"
    key.write_text(local.identity.private_key)
    key.chmod(0o600)
    profile = {k: v for k, v in local.sdk_config.items() if k != "key_content"} | {"key_file": str(key)}
    config = folder / "config"
    config.write_text("[DEFAULT]\n" + "".join(f"{k}={v}\n" for k, v in profile.items()))
    config.chmod(0o600)
    environment = os.environ | {
        "OCI_CLI_CONFIG_FILE": str(config),
        "OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING": "1",
    }

    def call(*arguments: str) -> Any:
        done = subprocess.run(
            [command, "--endpoint", local.endpoint, "data-flow", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}{done.stdout}"
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout

    return call


WAIT = ("--wait-interval-seconds", "1", "--max-wait-seconds", "120")


def test_submit_watch_logs_list(service, cli):
    compartment = service.local.compartment_id
    created = cli(
        *("run", "create", "--compartment-id", compartment, "--application-id", service.hello),
        *("--display-name", "by the CLI", "--freeform-tags", '{"a":"b"}'),
        *("--wait-for-state", "SUCCEEDED", "--wait-for-state", "FAILED", *WAIT),
    )
    run = created["data"]
    assert run["lifecycle-state"] == "SUCCEEDED", run
    assert run["total-o-cpu"] == 2
    names = [log["name"] for log in cli("run", "list-logs", "--run-id", run["id"])["data"]]
    assert "spark_application_stdout.log.gz" in names
    log = cli(
        "run", "get-log", "--run-id", run["id"], "--name", "spark_application_stdout.log.gz", "--file", "-"
    )
    assert "hello from a client" in log
    listed = cli("run", "list", "--compartment-id", compartment, "--all", "--display-name", "by the CLI")
    assert [r["id"] for r in listed["data"]] == [run["id"]]
    sort = (
        "--limit",
        "1",
        "--sort-by",
        "timeCreated",
        "--sort-order",
        "ASC",
        "--lifecycle-state",
        "SUCCEEDED",
    )
    assert len(cli("run", "list", "--compartment-id", compartment, *sort)["data"]) == 1
    updated = cli("run", "update", "--run-id", run["id"], "--freeform-tags", '{"c":"d"}', "--force")
    assert updated["data"]["freeform-tags"] == {"c": "d"}


def test_submit_and_cancel(service, cli):
    execute = "--conf spark.a=b oci://data@ns/sleep.py one"
    run = cli("run", "submit", "--compartment-id", service.local.compartment_id, "--execute", execute)["data"]
    assert run["arguments"] == ["one"]
    cli("run", "delete", "--run-id", run["id"], "--force", "--wait-for-state", "CANCELED", *WAIT)
    assert cli("run", "get", "--run-id", run["id"])["data"]["lifecycle-state"] == "CANCELED"


def test_applications(service, cli):
    created = cli(
        *(
            "application",
            "create",
            "--compartment-id",
            service.local.compartment_id,
            "--display-name",
            "of the CLI",
        ),
        *("--driver-shape", "VM.Standard.E4.Flex", "--driver-shape-config", '{"ocpus":1,"memoryInGBs":16}'),
        *("--executor-shape", "VM.Standard2.1", "--language", "PYTHON", "--num-executors", "1"),
        *("--spark-version", "3.5.0", "--file-uri", "oci://data@ns/hello.py"),
    )["data"]
    updated = cli(
        "application", "update", "--application-id", created["id"], "--num-executors", "3", "--force"
    )
    assert updated["data"]["num-executors"] == 3
    cli(
        "application",
        "delete",
        "--application-id",
        created["id"],
        "--force",
        "--wait-for-state",
        "DELETED",
        *WAIT,
    )
