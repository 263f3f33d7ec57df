"""Command line and embedded server, without runs that need Spark."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import oci
import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli.argument_types import seconds
from airflow_provider_dataflow.local.cli.client_config import terraform_lines
from airflow_provider_dataflow.local.cli.command_line import main
from airflow_provider_dataflow.local.cli.terminal import paint, printable
from tests.unit.local.api.test_sql_endpoints import SQL_ENDPOINT


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("cli") / "home", max_concurrent_runs=3) as local:
        yield local


def run(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 0
    return capsys.readouterr().out


def test_status_shows_endpoint_and_runs(server, capsys):
    out = run(capsys, "status", "--home", str(server.home))
    assert server.endpoint in out
    assert "0 of 3 active" in out
    assert server.local("health")["pid"] == server.pid
    assert json.loads((server.home / "server.json").read_text())["port"] == int(
        server.endpoint.rpartition(":")[2]
    )


def test_connection_prints_the_airflow_variable(server, capsys):
    line = run(capsys, "connection", "--home", str(server.home)).strip()
    (assignment,) = shlex.split(line)
    name, _, value = assignment.partition("=")
    assert name == "AIRFLOW_CONN_OCI_DEFAULT"
    assert server.environment == {name: value}
    connection = json.loads(value)
    extra = connection["extra"]
    assert connection["conn_type"] == "oci"
    assert connection["login"] == server.identity.user
    assert extra["service_endpoint"] == server.endpoint
    assert extra["compartment_id"] == server.compartment_id
    assert set(extra) == {
        "tenancy", "fingerprint", "private_key_content", "region", "compartment_id", "service_endpoint"
    }  # fmt: skip
    assert "127.0.0.1:1234" in run(capsys, "connection", "--home", str(server.home), "--port", "1234")


def test_bucket_creates_and_lists_buckets(server, capsys):
    path = run(capsys, "bucket", "--home", str(server.home), "x@ns").strip()
    assert path == str(server.bucket_path("ns", "x"))
    assert f"oci://x@ns/  {path}" in run(capsys, "bucket", "--home", str(server.home))
    with pytest.raises(SystemExit):
        main(["bucket", "--home", str(server.home), "../x"])
    assert "'../x' is not of the form NAME" in capsys.readouterr().err


def test_logs_of_an_unknown_run_fail(server, capsys):
    assert run(capsys, "runs", "--home", str(server.home)) == ""
    assert main(["logs", "--home", str(server.home), "ocid1.none"]) == 1
    assert "There is no run" in capsys.readouterr().err


def test_key_is_readable_by_its_owner_only(server):
    assert stat.S_IMODE(os.stat(server.home / "identity" / "api_key.pem").st_mode) == 0o600


def test_status_without_a_server_fails(tmp_path, capsys):
    assert main(["status", "--home", str(tmp_path)]) == 1
    assert "No server runs" in capsys.readouterr().err
    (tmp_path / "server.json").write_text('{"pid": 1, "port": 1, "endpoint": "http://127.0.0.1:1"}')
    assert main(["status", "--home", str(tmp_path)]) == 1
    assert "No server responds at http://127.0.0.1:1" in capsys.readouterr().err


def test_home_has_only_one_server(server):
    with pytest.raises(RuntimeError, match="in use by another server"):
        LocalDataFlow(server.home).start()


def test_port_in_use_is_refused(server, tmp_path):
    port = int(server.endpoint.rpartition(":")[2])
    with pytest.raises(RuntimeError, match=f"Cannot serve on port {port}"):
        LocalDataFlow(tmp_path / "other", port=port).start()


def test_embedded_server_ends_with_its_parent(tmp_path):
    script = (
        "import os, sys\n"
        "from airflow_provider_dataflow.local import LocalDataFlow\n"
        "print(LocalDataFlow(sys.argv[1]).start().pid, flush=True)\n"
        "os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "home")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    pid = int(done.stdout)
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        if b"State:\tZ" in Path(f"/proc/{pid}/status").read_bytes():
            break
        time.sleep(0.02)
    else:
        pytest.fail("the server outlived its parent")
    assert not (tmp_path / "home" / "server.json").exists()


@pytest.mark.parametrize(
    "command",
    [[], ["serve"], ["fault", "add"], ["rule", "add"], ["clock", "advance"], ["cancel"], ["connection"]],
)
def test_help_shows_the_usage(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([*command, "--help"])
    assert done.value.code == 0
    assert "usage: dataflow-local" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("1.5s", 1.5), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("1d2h3m4s", 93784)],
)
def test_duration_is_parsed(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "1y", "h", "1m2h"])
def test_wrong_duration_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        seconds(text)


def test_colours_only_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert paint("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "red", Terminal()) == "x"
    assert printable("a\x1b[31m\nb") == "a [31m b"


def test_status_prints_json(server, capsys):
    assert (
        json.loads(run(capsys, "status", "--json", "--home", str(server.home)))["endpoint"] == server.endpoint
    )


def test_configuration_of_oci_cli_and_sdk_works(server, capsys):
    runs, buckets = run(capsys, "connection", "--for", "oci", "--home", str(server.home)).splitlines()
    words = shlex.split(runs)
    config = words[words.index("--config-file") + 1]
    assert stat.S_IMODE(os.stat(config).st_mode) == 0o600
    assert server.compartment_id in words
    assert words[:5] == shlex.split(buckets)[:5]
    code = run(capsys, "connection", "--for", "sdk", "--home", str(server.home))
    code += "print(len(runs), type(buckets))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 <class 'list'>\n"
    variable, _, value = shlex.split(run(capsys, "connection", "--for", "ocifs", "--home", str(server.home)))[
        0
    ].partition("=")
    assert variable == "FSSPEC_OCI"
    assert json.loads(value) == {"config": config, "config_kwargs": {"service_endpoint": server.endpoint}}


def test_configuration_of_terraform_is_a_file_with_the_provider_block(server, capsys):
    text = run(capsys, "connection", "--for", "terraform", "--home", str(server.home))
    assert f"#   export CLIENT_HOST_OVERRIDES=oci_dataflow.DataFlowClient={server.endpoint}\n" in text
    block = text[text.index('provider "oci" {') :]
    arguments = dict(re.findall(r'^  (\w+) += "(.*)"$', block, re.MULTILINE))
    config = server.sdk_config
    key = Path(arguments.pop("private_key_path"))
    assert key.read_text().startswith(config.pop("key_content").strip())
    names = {"tenancy_ocid": "tenancy", "user_ocid": "user", "fingerprint": "fingerprint", "region": "region"}
    assert {names[name]: value for name, value in arguments.items()} == config


def test_template_marks_in_a_path_are_escaped_for_terraform(server):
    text = terraform_lines(server.identity, server.endpoint, Path('/a "${b}" %{c}'))
    assert '= "/a \\"$${b}\\" %%{c}/api_key.pem"\n' in text


def test_error_is_one_line(server, capsys):
    home = ("--home", str(server.home))
    for command in (
        ["cancel", "ocid1.none", *home],
        ["fault", "clear", "9", *home],
        ["rule", "add", "--outcome", "FAILED", *home],
        ["clock", "advance", "10", *home],
    ):
        assert main(command) == 1, command
        error = capsys.readouterr().err
        assert error.startswith("dataflow-local: ")
        assert error.count("\n") == 1


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("cli") / "s", engine="scripted", clock="manual") as local:
        yield local


def submit(local: LocalDataFlow, name: str) -> str:
    import oci

    client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
    local.create_bucket("b")
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=local.compartment_id, execute="oci://b@local/app.py", display_name=name
    )
    return client.create_run(details).data.id


def test_rules_clock_and_cancel(scripted, capsys):
    home = ("--home", str(scripted.home))
    run(capsys, "rule", "add", "--name", "long*", "--duration", "1h", "--stdout", "rows: 3", *home)
    run(capsys, "rule", "add", "--name", "bad*", "--outcome", "FAILED", "--details", "no such month", *home)
    assert run(capsys, "rule", "list", *home).splitlines()[0].startswith("  1  ")
    bad, long, other = (submit(scripted, name) for name in ("bad", "long 1", "long 2"))
    run(capsys, "clock", "advance", "10m", *home)
    assert "no such month" in run(capsys, "runs", "--state", "FAILED", *home)
    assert "CANCEL" in run(capsys, "cancel", other, *home)
    run(capsys, "clock", "advance", "50m", *home)
    assert run(capsys, "logs", long, *home).strip() == "rows: 3"
    states = {r["id"]: r["lifecycleState"] for r in json.loads(run(capsys, "runs", "--json", *home))}
    assert states == {bad: "FAILED", long: "SUCCEEDED", other: "CANCELED"}
    assert main(["cancel", long, *home]) == 1
    assert "has already ended" in capsys.readouterr().err
    run(capsys, "rule", "clear", *home)
    assert run(capsys, "rule", "list", *home) == ""
    run(capsys, "reset", *home)
    assert run(capsys, "runs", *home) == ""


def test_added_rule_keeps_counts_of_other_rules(scripted, capsys):
    home = ("--home", str(scripted.home))
    scripted.reset()
    run(capsys, "rule", "add", "--name", "a", "--outcome", "FAILED", *home)
    submit(scripted, "a")
    run(capsys, "rule", "add", "--name", "b", "--outcome", "FAILED", *home)
    new, old = run(capsys, "rule", "list", *home).splitlines()
    assert "matched 0 runs" in new
    assert "matched 1 runs" in old


def test_faults_are_added_listed_and_cleared(scripted, capsys):
    home = ("--home", str(scripted.home))
    out = run(
        capsys, "fault", "add", "status", "--status", "503", "--operation", "GetRun", "--count", "2", *home
    )
    assert out.startswith("fault ")
    assert "status=503" in run(capsys, "fault", "list", *home)
    run(capsys, "fault", "clear", *home)
    assert run(capsys, "fault", "list", *home) == ""


def test_sql_endpoints_are_listed_shown_and_maintained(scripted, capsys):
    home = str(scripted.home)
    assert run(capsys, "sql-endpoint", "list", "--home", home) == ""
    client = oci.data_flow.DataFlowClient(scripted.sdk_config, service_endpoint=scripted.endpoint)
    first, second = (
        client.create_sql_endpoint(SQL_ENDPOINT | {"displayName": name}).data.id for name in ("one", "two")
    )
    scripted.advance(1)
    listed = run(capsys, "sql-endpoint", "list", "--home", home).splitlines()
    assert [line.split()[:3] for line in listed] == [[second, "ACTIVE", "two"], [first, "ACTIVE", "one"]]
    shown = json.loads(run(capsys, "sql-endpoint", "show", first, "--home", home))
    assert listed[1].split()[3] == shown["jdbcEndpointUrl"]
    assert [(w["operation"], w["status"]) for w in shown["workRequests"]] == [
        ("CREATE_SQL_ENDPOINT", "SUCCEEDED")
    ]
    as_json = json.loads(run(capsys, "sql-endpoint", "list", "--json", "--home", home))
    assert [endpoint["id"] for endpoint in as_json] == [second, first]
    assert run(capsys, "sql-endpoint", "maintain", first, "--home", home) == f"{first}  UPDATING\n"
    assert main(["sql-endpoint", "maintain", first, "--home", home]) == 1
    assert "is UPDATING cannot be maintained" in capsys.readouterr().err
    assert client.get_sql_endpoint(first).data.jdbc_endpoint_url is None
