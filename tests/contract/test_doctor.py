"""The command ``doctor`` against Local Data Flow, with policies that are missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_dataflow.cli.airflow_commands import get_provider_cli_commands
from airflow_provider_dataflow.cli.command_line import main
from airflow_provider_dataflow.doctor.diagnosis import STEPS
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.policy_statements import (
    GROUP,
    MANAGE_OBJECTS,
    MANAGE_RUNS,
    READ_APPLICATIONS,
    READ_BUCKETS,
    READ_PRIVATE_ENDPOINTS,
    READ_RUNS,
    SERVICE_READS_LOGS,
    USE_POOLS,
    statement_for,
)
from tests.contract.conftest import target_of
from tests.marked_secrets import PASS_PHRASE, TOKEN, marked_connection

LOGS, STAGING = "oci://logs@local/", "oci://staging@local/code"
NAMES = [step.name for step in STEPS]


class Patient:
    """Server with everything that ``doctor`` can check, and the options that name it."""

    def __init__(self, server: DataFlowFixture) -> None:
        self.server = server
        for bucket in ("logs", "staging"):
            server.create_bucket(bucket)
        target = target_of(server)
        common = {"compartmentId": server.compartment_id, "displayName": "doctor"}
        configurations = [{"shape": "VM.Standard2.1", "min": 1, "max": 2}]
        self.pool_id = target.client.create_pool({**common, "configurations": configurations}).data.id
        endpoint = {**common, "dnsZones": ["example.com"], "subnetId": "ocid1.subnet.oc1.iad.x"}
        self.private_endpoint_id = target.client.create_private_endpoint(endpoint).data.id
        self.application_id = target.create_application(
            "hello.py",
            logs_bucket_uri=LOGS,
            pool_id=self.pool_id,
            private_endpoint_id=self.private_endpoint_id,
        ).id
        self.options = ["--application-id", self.application_id, "--staging-uri", STAGING]

    def policies(self, *statements: str, bucket: str | None = None) -> list[str]:
        compartment_id = self.server.compartment_id
        return [statement_for(s, GROUP, compartment_id=compartment_id, bucket=bucket) for s in statements]


@pytest.fixture
def patient(scripted: DataFlowFixture) -> Patient:
    return Patient(scripted)


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Any:
    def examine(*words: str) -> tuple[int, dict[str, dict[str, Any]]]:
        code = main(["doctor", "--json", *words])
        report = json.loads(capsys.readouterr().out)
        assert report["ok"] == (code == 0)
        assert [step["step"] for step in report["steps"]] == NAMES
        return code, {step["step"]: step for step in report["steps"]}

    return examine


def statuses(steps: dict[str, dict[str, Any]], status: str) -> list[str]:
    return [name for name, step in steps.items() if step["status"] == status]


def test_everything_is_well(patient, examine):
    code, steps = examine(*patient.options)
    assert (code, statuses(steps, "skipped")) == (0, ["metastore"])
    user, tenancy = patient.server.identity.user, patient.server.identity.tenancy
    assert f"user with an API key, {user}, tenancy {tenancy}" in steps["identity"]["reason"]
    assert "refused with 400 InvalidParameter" in steps["create-run"]["reason"]
    assert f"pool {patient.pool_id} of the application is " in steps["pool"]["reason"]
    assert f"{patient.private_endpoint_id} of the application is " in steps["private-endpoint"]["reason"]
    assert "not tested (--write-probe)" in steps["staging-bucket"]["reason"]
    # Nothing is started, changed or written.
    assert patient.server.runs == []
    changes = {e["operation"] for e in patient.server.journal() if e["method"] != "GET"}
    assert changes == {"CreateApplication", "CreatePool", "CreatePrivateEndpoint", "CreateRun"}


def test_what_is_not_asked_for_is_skipped(scripted, examine):
    code, steps = examine()
    assert code == 0
    asked_for = ["application", "logs-bucket", "staging-bucket", "pool", "metastore", "private-endpoint"]
    assert statuses(steps, "skipped") == asked_for
    assert steps["pool"]["reason"] == "not asked for; give --pool-id"
    # Local Data Flow has no Data Catalog.
    _, steps = examine("--metastore-id", "ocid1.datacatalogmetastore.oc1..aaaa")
    assert steps["metastore"]["status"] == "skipped"


def test_write_probe_leaves_nothing(patient, examine):
    code, steps = examine(*patient.options, "--write-probe")
    assert code == 0
    assert "listed, written and deleted" in steps["logs-bucket"]["reason"]
    written = [e["resource_id"] for e in patient.server.journal("PutObject")]
    assert [uri.rpartition("/airflow-doctor-")[0] for uri in written] == ["oci://logs@local", STAGING]
    assert [e["resource_id"] for e in patient.server.journal("DeleteObject")] == written
    assert not [path for path in patient.server.bucket_path("local", "staging").rglob("*") if path.is_file()]


LOGS_POLICIES = [(READ_BUCKETS, None), (MANAGE_OBJECTS, "logs")]


@pytest.mark.parametrize(
    ("operation", "resource", "step", "policies"),
    [
        ("ListRuns", None, "list-runs", [(READ_RUNS, None)]),
        ("CreateRun", None, "create-run", [(MANAGE_RUNS, None)]),
        ("GetApplication", None, "application", [(READ_APPLICATIONS, None)]),
        ("*", "application_id", "application", [(READ_APPLICATIONS, None)]),
        ("GetPool", None, "pool", [(USE_POOLS, None)]),
        ("*", "pool_id", "pool", [(USE_POOLS, None)]),
        ("GetPrivateEndpoint", None, "private-endpoint", [(READ_PRIVATE_ENDPOINTS, None)]),
        ("GetBucket", LOGS, "logs-bucket", LOGS_POLICIES),
        ("*", LOGS, "logs-bucket", LOGS_POLICIES),
        ("ListObjects", LOGS, "logs-bucket", LOGS_POLICIES[1:]),
        ("PutObject", LOGS, "logs-bucket", LOGS_POLICIES[1:]),
        ("DeleteObject", LOGS, "logs-bucket", LOGS_POLICIES[1:]),
        ("*", "oci://staging@local/", "staging-bucket", [(READ_BUCKETS, None), (MANAGE_OBJECTS, "staging")]),
        ("ListObjects", "oci://staging@local/", "staging-bucket", [(MANAGE_OBJECTS, "staging")]),
    ],
)
def test_missing_policy_is_named(patient, examine, operation, resource, step, policies):
    """Everything else stays as it was, and nothing but the policy is asked for."""
    options = [*patient.options, "--logs-bucket-uri", LOGS, "--pool-id", patient.pool_id, "--write-probe"]
    options += ["--private-endpoint-id", patient.private_endpoint_id]
    patient.server.deny(operation, resource_id=getattr(patient, resource or "", resource))
    code, steps = examine(*options)
    assert (code, statuses(steps, "missing")) == (1, [step])
    assert "returned 404" in steps[step]["reason"]
    assert steps[step]["policies"] == [
        patient.policies(statement, bucket=bucket)[0] for statement, bucket in policies
    ]
    # What the service itself needs cannot be checked, so it is named in any case.
    of_service = {"logs-bucket"} - {step}
    assert {s["step"] for s in steps.values() if s["step"] != step and s["policies"]} == of_service
    patient.server.allow()
    code, steps = examine(*options)
    assert code == 0
    assert steps["logs-bucket"]["policies"] == patient.policies(SERVICE_READS_LOGS, bucket="logs")
    assert patient.server.runs == []


def test_private_endpoint_of_the_application_need_not_be_visible(patient, examine):
    patient.server.deny("GetPrivateEndpoint")
    code, steps = examine(*patient.options)
    assert (code, statuses(steps, "skipped")) == (0, ["metastore", "private-endpoint"])
    assert "which a run of the application does not need" in steps["private-endpoint"]["reason"]


def test_without_any_policy_all_rights_are_missing(patient, examine):
    patient.server.deny()
    code, steps = examine(*patient.options, "--logs-bucket-uri", LOGS)
    assert (code, statuses(steps, "missing")) == (
        1,
        ["list-runs", "create-run", "application", "logs-bucket", "staging-bucket"],
    )
    # The sign-in was accepted all the same.
    assert steps["sign-in"]["status"] == "ok"


def test_resources_that_are_gone(manual_clock, examine):
    patient = Patient(manual_clock)
    manual_clock.advance(3600)
    client = target_of(manual_clock).client
    client.delete_application(patient.application_id)
    client.delete_private_endpoint(patient.private_endpoint_id)
    manual_clock.advance(3600)
    code, steps = examine(*patient.options, "--private-endpoint-id", patient.private_endpoint_id)
    assert (code, statuses(steps, "missing")) == (1, ["application", "private-endpoint"])
    assert steps["application"]["reason"] == f"the application {patient.application_id} is DELETED"
    assert steps["application"]["policies"] == []


def test_bucket_that_does_not_exist(scripted, examine):
    code, steps = examine("--logs-bucket-uri", "oci://nowhere@local/")
    assert (code, statuses(steps, "missing")) == (1, ["logs-bucket"])
    assert "BucketNotFound" in steps["logs-bucket"]["reason"]


# --- Sign-in --------------------------------------------------------------------------------------------


def after(name: str) -> list[str]:
    """Return the steps that need this one."""
    skipped = {name}
    for step in STEPS:
        if skipped & set(step.needs):
            skipped.add(step.name)
    return [step for step in NAMES if step in skipped - {name}]


def test_clock_that_is_wrong(scripted, examine):
    scripted.add_fault("clock_skew", seconds=1800)
    code, steps = examine()
    assert (code, statuses(steps, "missing")) == (1, ["clock"])
    assert "seconds behind the service's; OCI accepts at most 300" in steps["clock"]["reason"]
    assert statuses(steps, "skipped") == after("clock")


def test_key_that_the_service_does_not_know(scripted, examine, monkeypatch):
    connection = json.loads(scripted.connection_json)
    connection["login"] = "ocid1.user.oc1..somebody"
    monkeypatch.setenv("AIRFLOW_CONN_STRANGER", json.dumps(connection))
    code, steps = examine("--conn-id", "stranger")
    assert (code, statuses(steps, "missing")) == (1, ["sign-in"])
    assert "is the public key with this fingerprint registered with this user" in steps["sign-in"]["reason"]
    assert statuses(steps, "skipped") == after("sign-in")


def test_endpoint_that_does_not_respond(scripted, examine, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_NOBODY", scripted.connection_json)
    code, steps = examine("--conn-id", "nobody", "--service-endpoint", "http://127.0.0.1:1")
    assert (code, statuses(steps, "missing")) == (1, ["endpoint"])
    assert "Nothing listens there" in steps["endpoint"]["reason"]
    assert statuses(steps, "skipped") == after("endpoint")


def test_outage_is_not_taken_for_a_missing_policy(scripted, examine):
    scripted.add_fault("status", status=503, operation="CreateRun")
    code, steps = examine()
    assert (code, statuses(steps, "missing")) == (1, ["create-run"])
    assert "has an outage" in steps["create-run"]["reason"]
    assert steps["create-run"]["policies"] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"private_key_content": ""}, "private_key_content: missing"),
        ({"fingerprint": "12"}, "fingerprint: expected 16 pairs"),
        ({"service_endpoint": "https://example.com"}, "service_endpoint: example.com is neither loopback"),
        ({"auth_type": "instance_principal"}, "must not choose instance_principal by itself"),
    ],
)
def test_connection_that_is_incomplete(scripted, examine, monkeypatch, change, reason):
    connection = json.loads(scripted.connection_json)
    connection["extra"] |= change
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps(connection))
    code, steps = examine("--conn-id", "broken")
    (step,) = statuses(steps, "missing")
    assert (code, step in ("connection", "endpoint")) == (1, True)
    assert reason in steps[step]["reason"]
    assert statuses(steps, "skipped")[: len(after(step))] == after(step)


def test_unknown_connection_is_said_in_words(scripted, examine, capsys):
    code, steps = examine("--conn-id", "nowhere")
    assert (code, statuses(steps, "missing")) == (1, ["connection"])
    assert "connection 'nowhere': The conn_id `nowhere` isn't defined" in steps["connection"]["reason"]
    assert statuses(steps, "skipped") == NAMES[1:]
    assert main(["package", "humanize", "--upload", "--conn-id", "nowhere"]) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("error: connection 'nowhere': The conn_id `nowhere` isn't defined.")


def test_compartment_is_missing(scripted, examine, monkeypatch):
    connection = json.loads(scripted.connection_json)
    del connection["extra"]["compartment_id"]
    monkeypatch.setenv("AIRFLOW_CONN_BARE", json.dumps(connection))
    code, steps = examine("--conn-id", "bare")
    assert (code, statuses(steps, "missing")) == (1, ["compartment"])
    assert statuses(steps, "skipped")[:2] == ["list-runs", "create-run"]
    assert examine("--conn-id", "bare", "--compartment-id", scripted.compartment_id)[0] == 0


def test_session_token_without_a_connection(scripted, examine, tmp_path):
    token = scripted.new_token()
    (tmp_path / "token").write_text(token.token)
    (tmp_path / "key.pem").write_text(token.private_key)
    (tmp_path / "config").write_text(
        f"[airflow]\nregion=us-ashburn-1\ntenancy={scripted.identity.tenancy}\n"
        f"security_token_file={tmp_path / 'token'}\nkey_file={tmp_path / 'key.pem'}\n"
    )
    options = ["--auth-type", "security_token", "--config-file", str(tmp_path / "config")]
    options += ["--profile", "airflow", "--compartment-id", scripted.compartment_id]
    code, steps = examine("--conn-id", "", "--service-endpoint", scripted.endpoint, *options)
    assert code == 0
    assert steps["connection"]["reason"].startswith("none; the options suffice")
    assert f"user with a session token, {scripted.identity.user}" in steps["identity"]["reason"]


# --- Output ---------------------------------------------------------------------------------------------


def test_text_has_a_paragraph_for_each_step_and_whole_statements(patient, capsys):
    patient.server.deny("CreateRun")
    assert main(["doctor", *patient.options]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[:1].strip()] == [*NAMES, "1"]
    assert lines[-1] == "1 of 13 checks failed: create-run."
    (policy,) = patient.policies(MANAGE_RUNS)
    (service,) = patient.policies(SERVICE_READS_LOGS, bucket="logs")
    printed = [line.strip() for line in lines if "policy:" in line]
    assert printed == [f"policy: {policy}", f"policy: {service}"]


def test_secrets_are_not_printed(scripted, capsys, monkeypatch):
    secret = marked_connection(scripted.connection_json)
    monkeypatch.setenv("AIRFLOW_CONN_SECRET", secret)
    scripted.deny()
    assert main(["doctor", "--conn-id", "secret"]) == 1
    assert main(["doctor", "--conn-id", "secret", "--json"]) == 1
    monkeypatch.setenv("AIRFLOW_CONN_SECRET", secret.replace(PASS_PHRASE, f"{PASS_PHRASE}-wrong"))
    assert main(["doctor", "--conn-id", "secret"]) == 1
    printed = "".join(capsys.readouterr())
    key = json.loads(secret)["extra"]["private_key_content"]
    for hidden in (PASS_PHRASE, TOKEN, key[100:140]):
        assert hidden not in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pool-id", "x"], "--pool-id: expected an OCID like ocid1.dataflowpool..., got 'x'"),
        (
            ["--compartment-id", "x"],
            "--compartment-id: expected an OCID like ocid1.compartment... or ocid1.te",
        ),
        (["--staging-uri", "/tmp"], "--staging-uri: expected oci://bucket@namespace/path, got '/tmp'"),
    ],
)
def test_wrong_options_are_exit_code_2(scripted, capsys, words, message):
    assert main(["doctor", *words]) == 2
    printed = capsys.readouterr()
    assert (printed.out, message in printed.err) == ("", True)
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", "--auth-type", "magic"])
    assert scripted.journal() == []


def test_airflows_command_line_exits_with_the_same_code(scripted, capsys):
    import argparse

    (group,) = get_provider_cli_commands()
    (doctor,) = (command for command in group.subcommands if command.name == "doctor")
    parser = argparse.ArgumentParser()
    for argument in doctor.args:
        argument.add_to_parser(parser)
    doctor.func(parser.parse_args([]))
    scripted.deny("CreateRun")
    with pytest.raises(SystemExit, match="1"):
        doctor.func(parser.parse_args([]))
