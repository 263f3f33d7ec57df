"""The oci CLI, from PATH or DATAFLOW_CLIENTS_OCI. Each command takes some seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli.client_config import write_oci_config

pytestmark = [pytest.mark.spark, pytest.mark.clients]
WAIT = ("--wait-interval-seconds", "1", "--max-wait-seconds", "120")
STDOUT = "spark_application_stdout.log.gz"


@dataclass(frozen=True)
class Cli:
    """Calls ``oci data-flow`` commands; keyword arguments become options.

    :param options: global options of each command.
    :param service: ``os`` for the commands of Object Storage.
    """

    command: str
    local: LocalDataFlow
    config: Path
    options: tuple[str, ...] = ()
    service: str = "data-flow"

    def run(
        self, group: str, command: str, /, *positional: str, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run ``oci <service> <group> <command>``. Options that are not strings are passed as JSON."""
        arguments = list(positional)
        for option, value in options.items():
            text = value if isinstance(value, str) else json.dumps(value)
            arguments += [f"--{option.replace('_', '-')}", text]
        return subprocess.run(
            [
                self.command,
                *("--config-file", str(self.config), "--endpoint", self.local.endpoint, *self.options),
                *(self.service, group, command, *arguments),
            ],
            capture_output=True,
            text=True,
            timeout=180,
        )

    def __call__(self, group: str, command: str, /, *positional: str, **options: Any) -> Any:
        """Run a command; return ``data`` of its JSON output, or the output if it is not JSON."""
        done = self.run(group, command, *positional, **options)
        assert done.returncode == 0, f"{done.args}: {done.stderr}{done.stdout}"
        try:
            return json.loads(done.stdout).get("data")
        except ValueError:
            return done.stdout

    def error(self, group: str, command: str, /, *positional: str, **options: Any) -> tuple[int, str, str]:
        """Run a command that fails; return status, code and message of the service error."""
        done = self.run(group, command, *positional, **options)
        assert done.returncode == 1, f"{done.args}: {done.stderr}{done.stdout}"
        assert "ServiceError:\n" in done.stderr, done.stderr
        error = json.loads(done.stderr.partition("ServiceError:\n")[2])
        return error["status"], error["code"], error["message"]


@pytest.fixture(scope="session")
def command() -> str:
    found = os.environ.get("DATAFLOW_CLIENTS_OCI") or shutil.which("oci")
    if not found:
        pytest.skip("no oci command on PATH; see tests/clients/README.md")
    return found


def new_cli(command: str, local: LocalDataFlow) -> Cli:
    return Cli(command, local, write_oci_config(local.identity, local.home / "identity"))


@pytest.fixture
def cli(service, command) -> Cli:
    return new_cli(command, service.local)


@pytest.fixture(scope="module")
def scripted_cli(command, tmp_path_factory):
    """CLI for a server whose runs succeed at once, without Spark."""
    with LocalDataFlow(tmp_path_factory.mktemp("cli") / "home", engine="scripted") as local:
        yield new_cli(command, local)


def test_submit_waits_for_success_and_reads_log(service, cli, tmp_path):
    compartment = service.local.compartment_id
    run = cli(
        *("run", "create", "--wait-for-state", "FAILED", *WAIT),
        compartment_id=compartment,
        application_id=service.hello,
        display_name="by the CLI",
        freeform_tags={"a": "b"},
        wait_for_state="SUCCEEDED",
    )
    assert run["lifecycle-state"] == "SUCCEEDED", run
    assert run["total-o-cpu"] == 2
    names = [log["name"] for log in cli("run", "list-logs", run_id=run["id"])]
    assert STDOUT in names
    assert "hello from a client" in cli("run", "get-log", run_id=run["id"], name=STDOUT, file="-")
    file = tmp_path / "stdout.log"
    cli("run", "get-log", run_id=run["id"], name=STDOUT, file=str(file))
    assert file.read_text() == "hello from a client\n"
    listed = cli("run", "list", "--all", compartment_id=compartment, display_name="by the CLI")
    assert [r["id"] for r in listed] == [run["id"]]
    updated = cli("run", "update", "--force", run_id=run["id"], freeform_tags={"c": "d"})
    assert updated["freeform-tags"] == {"c": "d"}


def test_cancel_waits_for_canceled(service, cli):
    execute = "--conf spark.a=b oci://data@ns/sleep.py one"
    run = cli("run", "submit", compartment_id=service.local.compartment_id, execute=execute)
    assert run["arguments"] == ["one"]
    cli("run", "delete", "--force", *WAIT, run_id=run["id"], wait_for_state="CANCELED")
    assert cli("run", "get", run_id=run["id"])["lifecycle-state"] == "CANCELED"


def test_run_list_pages_and_filters(scripted_cli):
    local = scripted_cli.local
    local.set_rules([{"displayName": "b*", "attempts": [{"outcome": "FAILED"}]}])
    application = create_application(scripted_cli)
    for name in ("a1", "b1", "b2"):
        scripted_cli(
            "run",
            "create",
            compartment_id=local.compartment_id,
            application_id=application["id"],
            display_name=name,
        )
    found = _run_lister(scripted_cli, compartment_id=local.compartment_id)
    assert found("--all", page_size=1) == ["b2", "b1", "a1"]
    assert found("--all", sort_by="displayName", sort_order="ASC") == ["a1", "b1", "b2"]
    assert found("--all", lifecycle_state="FAILED") == ["b2", "b1"]
    assert found("--all", display_name_starts_with="a") == ["a1"]
    assert found(application_id=application["id"], limit=2) == ["b2", "b1"]
    assert found(time_created_greater_than="2999-01-01") == []
    two = {"lifecycle_state": "FAILED", "display_name": "b1"}
    assert scripted_cli.error("run", "list", compartment_id=local.compartment_id, **two)[:2] == (
        400,
        "InvalidParameter",
    )


def _run_lister(cli: Cli, **always: Any) -> Callable[..., list[str]]:
    """Return a function that lists runs with the options ``always`` and returns their names."""

    def names(*positional: str, **options: Any) -> list[str]:
        # The CLI prints nothing for an empty list.
        return [item["display-name"] for item in cli("run", "list", *positional, **always, **options) or ()]

    return names


def create_application(cli: Cli, **fields: Any) -> Any:
    details = {
        "compartment_id": cli.local.compartment_id,
        "display_name": "created by the CLI",
        "driver_shape": "VM.Standard.E4.Flex",
        "driver_shape_config": {"ocpus": 1, "memoryInGBs": 16},
        "executor_shape": "VM.Standard2.1",
        "language": "PYTHON",
        "num_executors": 1,
        "spark_version": "3.5.0",
        "file_uri": "oci://data@ns/hello.py",
    }
    return cli("application", "create", **(details | fields))


def test_application_is_created_updated_and_deleted(scripted_cli):
    compartment = scripted_cli.local.compartment_id
    created = create_application(
        scripted_cli, wait_for_state="ACTIVE", freeform_tags={"test": "applications"}
    )
    assert created["driver-shape-config"] == {"memory-in-gbs": 16.0, "ocpus": 1.0}
    one = {"application_id": created["id"]}
    assert scripted_cli("application", "get", **one) == created
    assert created["id"] in [
        a["id"] for a in scripted_cli("application", "list", "--all", compartment_id=compartment)
    ]
    updated = scripted_cli("application", "update", "--force", **one, num_executors=3, if_match="*")
    assert updated["num-executors"] == 3
    status = scripted_cli.error("application", "update", "--force", **one, num_executors=4, if_match="other")
    assert status[:2] == (412, "NoEtagMatch")
    scripted_cli("application", "delete", "--force", *WAIT, **one, wait_for_state="DELETED")
    assert scripted_cli("application", "get", **one)["lifecycle-state"] == "DELETED"


def test_cascading_delete_cancels_runs_of_application(scripted_cli):
    scripted_cli.local.set_rules([{"displayName": "stays active", "attempts": [{"outcome": "IN_PROGRESS"}]}])
    application = create_application(scripted_cli)["id"]
    run = scripted_cli(
        "run",
        "create",
        compartment_id=scripted_cli.local.compartment_id,
        application_id=application,
        display_name="stays active",
    )
    options = {"application_id": application, "wait_for_state": "SUCCEEDED"}
    request = scripted_cli("application", "cascading-delete", *WAIT, **options)
    assert request["status"] == "SUCCEEDED"
    assert request["resources"][0]["resource-id"] == application
    assert scripted_cli("run", "get", run_id=run["id"])["lifecycle-state"] == "CANCELED"


def test_pool_is_created_stopped_updated_started_and_deleted(scripted_cli):
    compartment = scripted_cli.local.compartment_id
    request = scripted_cli(
        *("pool", "create", *WAIT),
        compartment_id=compartment,
        display_name="created by the CLI",
        configurations=[{"shape": "VM.Standard2.1", "min": 1, "max": 2}],
        idle_timeout_in_minutes=30,
        wait_for_state="SUCCEEDED",
    )
    pool = {"pool_id": request["resources"][0]["resource-id"]}
    assert scripted_cli("pool", "get", **pool)["lifecycle-state"] == "ACTIVE"
    listed = scripted_cli("pool", "list", "--all", compartment_id=compartment, lifecycle_state="ACTIVE")
    assert [p["id"] for p in listed["items"]] == [pool["pool_id"]]
    assert scripted_cli.error("pool", "delete", "--force", **pool)[0] == 409

    def state() -> str:
        return scripted_cli("pool", "get", **pool)["lifecycle-state"]

    scripted_cli("pool", "stop", *WAIT, **pool, wait_for_state="SUCCEEDED")
    assert state() == "STOPPED"
    configurations = [{"shape": "VM.Standard2.1", "min": 1, "max": 5}]
    scripted_cli(
        *("pool", "update", "--force", *WAIT),
        **pool,
        configurations=configurations,
        wait_for_state="SUCCEEDED",
    )
    assert scripted_cli("pool", "get", **pool)["configurations"][0]["max"] == 5
    scripted_cli("pool", "start", *WAIT, **pool, wait_for_state="SUCCEEDED")
    assert state() == "ACTIVE"
    scripted_cli("pool", "stop", *WAIT, **pool, wait_for_state="SUCCEEDED")
    scripted_cli("pool", "delete", "--force", *WAIT, **pool, wait_for_state="DELETED")
    assert state() == "DELETED"


def test_private_endpoint_and_its_work_requests(scripted_cli):
    compartment = scripted_cli.local.compartment_id
    request = scripted_cli(
        *("private-endpoint", "create", *WAIT),
        compartment_id=compartment,
        display_name="created by the CLI",
        dns_zones=["db.example.com"],
        subnet_id="ocid1.subnet.oc1.iad.s",
        wait_for_state="SUCCEEDED",
    )
    endpoint = {"private_endpoint_id": request["resources"][0]["resource-id"]}
    found = scripted_cli("private-endpoint", "get", **endpoint)
    assert (found["lifecycle-state"], found["dns-zones"]) == ("INACTIVE", ["db.example.com"])
    listed = scripted_cli("private-endpoint", "list", "--all", compartment_id=compartment)
    assert [p["id"] for p in listed["items"]] == [endpoint["private_endpoint_id"]]
    scripted_cli(
        *("private-endpoint", "update", "--force", *WAIT),
        **endpoint,
        description="changed",
        wait_for_state="SUCCEEDED",
    )
    assert scripted_cli("private-endpoint", "get", **endpoint)["description"] == "changed"
    scripted_cli("private-endpoint", "delete", "--force", *WAIT, **endpoint, wait_for_state="SUCCEEDED")
    assert scripted_cli("private-endpoint", "get", **endpoint)["lifecycle-state"] == "DELETED"

    one = {"work_request_id": request["id"]}
    assert scripted_cli("work-request", "get", **one) == request
    listed = scripted_cli("work-request", "list", "--all", compartment_id=compartment)
    operations = [r["operation"] for r in listed["items"] if r["operation"].endswith("PRIVATE_ENDPOINT")]
    assert sorted(operations) == [f"{verb}_PRIVATE_ENDPOINT" for verb in ("CREATE", "DELETE", "UPDATE")]
    logs = scripted_cli("work-request-log", "list", "--all", **one)
    assert "CREATE_PRIVATE_ENDPOINT is SUCCEEDED." in [entry["message"] for entry in logs["items"]]
    assert scripted_cli("work-request-error", "list", "--all", **one)["items"] == []


def test_service_errors_have_status_and_code(scripted_cli, tmp_path):
    compartment = scripted_cli.local.compartment_id
    assert scripted_cli.error("run", "get", run_id="ocid1.dataflowrun.oc1.iad.none")[:2] == (
        404,
        "NotAuthorizedOrNotFound",
    )
    details = {"compartment_id": compartment, "execute": "--master local oci://data@ns/a.py"}
    assert scripted_cli.error("run", "submit", **details)[:2] == (400, "InvalidParameter")
    run = scripted_cli("run", "submit", compartment_id=compartment, execute="oci://data@ns/a.py")
    assert scripted_cli.error("run", "get-log", run_id=run["id"], name="none.log.gz", file="-")[0] == 404
    assert scripted_cli.error("run", "delete", "--force", run_id=run["id"])[:2] == (409, "Conflict")
    other = tmp_path / "config"
    fingerprint = scripted_cli.local.identity.fingerprint
    other.write_text(scripted_cli.config.read_text().replace(fingerprint, fingerprint[::-1]))
    other.chmod(0o600)
    unknown_key_cli = Cli(scripted_cli.command, scripted_cli.local, other)
    assert unknown_key_cli.error("run", "list", compartment_id=compartment)[:2] == (401, "NotAuthenticated")


def test_session_token_is_accepted_until_revoked(scripted_cli, tmp_path):
    """The files are those that ``oci session authenticate`` writes."""
    token = scripted_cli.local.new_token()
    for name, text in (("token", token.token), ("key.pem", token.private_key)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    identity = scripted_cli.local.identity
    config = tmp_path / "config"
    config.write_text(
        f"[DEFAULT]\ntenancy={identity.tenancy}\nregion={identity.region}\nfingerprint={identity.fingerprint}\n"
        f"key_file={tmp_path / 'key.pem'}\nsecurity_token_file={tmp_path / 'token'}\n"
    )
    config.chmod(0o600)
    session = Cli(scripted_cli.command, scripted_cli.local, config, ("--auth", "security_token"))
    application = create_application(session)
    assert application["owner-principal-id"] == identity.user
    scripted_cli.local.clear_tokens()
    assert session.error("application", "get", application_id=application["id"])[0] == 401


def test_objects_are_uploaded_listed_downloaded_and_deleted(scripted_cli, tmp_path):
    cli, local = replace(scripted_cli, service="os"), scripted_cli.local
    cli("bucket", "create", name="cli", compartment_id=local.compartment_id)
    folder = local.create_bucket("cli")
    bucket = {"bucket_name": "cli"}

    content = bytes(range(256)) * 8 * 1024
    file = tmp_path / "large"
    file.write_bytes(content)
    put = cli.run("object", "put", **bucket, file=str(file), name="a/ü x", part_size="1")
    assert '"opc-multipart-md5"' in put.stdout
    assert (folder / "a" / "ü x").read_bytes() == content
    cli("object", "get", **bucket, name="a/ü x", file=str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == content

    source = tmp_path / "source" / "sub"
    source.mkdir(parents=True)
    for number in range(3):
        (source / f"{number}.txt").write_text(str(number))
    cli("object", "bulk-upload", **bucket, src_dir=str(source.parent), object_prefix="up/")
    assert (folder / "up" / "sub" / "2.txt").read_text() == "2"
    listed = cli("object", "list", **bucket, prefix="up/", fields="name,size")
    assert [(o["name"], o["size"]) for o in listed] == [(f"up/sub/{number}.txt", 1) for number in range(3)]
    cli("object", "bulk-delete", "--force", **bucket)
    assert cli("object", "list", **bucket) is None
    cli("bucket", "delete", "--force", **bucket)
    assert not folder.exists()
