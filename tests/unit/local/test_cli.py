"""The command line and the embedded server; no run is started that would need Spark."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli import main


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("cli") / "home", max_concurrent_runs=3) as local:
        yield local


def run(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 0
    return capsys.readouterr().out


def test_status(server, capsys):
    out = run(capsys, "status", "--home", str(server.home))
    assert server.endpoint in out
    assert "0 of 3 active" in out
    assert server.local("health")["pid"] == server.pid
    assert json.loads((server.home / "server.json").read_text())["port"] == int(
        server.endpoint.rpartition(":")[2]
    )


def test_connection(server, capsys):
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


def test_buckets(server, capsys):
    path = run(capsys, "bucket", "--home", str(server.home), "x@ns").strip()
    assert path == str(server.bucket_path("ns", "x"))
    assert f"oci://x@ns/  {path}" in run(capsys, "bucket", "--home", str(server.home))
    assert main(["bucket", "--home", str(server.home), "../x"]) == 1
    assert "not" in capsys.readouterr().err


def test_runs_and_logs(server, capsys):
    assert run(capsys, "runs", "--home", str(server.home)) == ""
    assert main(["logs", "--home", str(server.home), "ocid1.none"]) == 1
    assert "no such run" in capsys.readouterr().err


def test_the_key_is_private(server):
    assert stat.S_IMODE(os.stat(server.home / "identity" / "api_key.pem").st_mode) == 0o600


def test_without_a_server(tmp_path, capsys):
    assert main(["status", "--home", str(tmp_path)]) == 1
    assert "No server runs" in capsys.readouterr().err
    (tmp_path / "server.json").write_text('{"pid": 1, "port": 1, "endpoint": "http://127.0.0.1:1"}')
    assert main(["status", "--home", str(tmp_path)]) == 1
    assert "No server answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_a_home_has_one_server(server):
    with pytest.raises(RuntimeError, match="in use by another server"):
        LocalDataFlow(server.home).start()


def test_a_port_that_is_taken(server, tmp_path):
    port = int(server.endpoint.rpartition(":")[2])
    with pytest.raises(RuntimeError, match=f"Cannot serve on port {port}"):
        LocalDataFlow(tmp_path / "other", port=port).start()


def test_it_ends_with_its_parent(tmp_path):
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
