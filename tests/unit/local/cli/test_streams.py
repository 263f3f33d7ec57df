"""Commands whose stdin, stdout or stderr is closed or full, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.cli.command_line import main
from tests.unit.local.cli.support import (
    VALID,
    one_line,
    pretend_server,
)


def cli(*argv: str, **kwargs) -> subprocess.Popen:
    command = [sys.executable, "-m", "airflow_provider_dataflow.local", *argv]
    root = str(Path(__file__).parents[4])
    environment = os.environ | {"PYTHONPATH": root} | kwargs.pop("env", {})
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True, **kwargs)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["fault", "add", "--help"], ["status"]])
def test_closed_pipe_is_not_an_error(server, argv, unbuffered):
    read, write = os.pipe()
    os.close(read)
    environment = {"DATAFLOW_LOCAL_HOME": str(server.home), "PYTHONUNBUFFERED": unbuffered}
    process = cli(*argv, stdout=write, env=environment)
    os.close(write)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_is_one_line(server, unbuffered):
    with open("/dev/full", "w") as full:
        process = cli("status", "--home", str(server.home), stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (
        1,
        "dataflow-local: Cannot write to stdout: No space left on device.\n",
    )


def test_closed_streams_are_tolerated(server):
    shell = f"{sys.executable} -m airflow_provider_dataflow.local status --home '{server.home}' >&- 2>&-"
    root = str(Path(__file__).parents[4])
    done = subprocess.run(["sh", "-c", shell], env=os.environ | {"PYTHONPATH": root}, timeout=60, check=False)
    assert done.returncode == 0


def test_unencodable_characters_are_escaped(server):
    server.add_fault("status", status=500, message="ü→", operation="CreatePool")
    process = cli(
        "fault",
        "list",
        "--home",
        str(server.home),
        stdout=subprocess.PIPE,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    out, error = process.communicate(timeout=60)
    server.clear_faults()
    assert (process.returncode, error) == (0, "")
    assert "\\xfc\\u2192" in out


def test_ctrl_c_exits_with_130(tmp_path):
    """Interrupt a command whose server accepts the connection and does not respond."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pretend_server(tmp_path, listener.getsockname()[1])
        process = cli(
            *("status", "--home", str(tmp_path)),
            stdout=subprocess.PIPE,
            # Tests that a shell has started in the background ignore the signal, and so would the command.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        connection, _ = listener.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("full", [False, True])
def test_server_keeps_running_when_it_cannot_print(tmp_path, full, unbuffered):
    read, write = os.pipe()
    os.close(read)
    if full:
        os.close(write)
        write = os.open("/dev/full", os.O_WRONLY)
    environment = {"PYTHONUNBUFFERED": unbuffered}
    process = cli("serve", *VALID["serve"], "--home", str(tmp_path), stdout=write, env=environment)
    os.close(write)
    for _ in range(600):
        if (tmp_path / "server.json").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    assert main(["status", "--home", str(tmp_path)]) == 0
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in error


def test_exit_with_stdin_needs_a_stdin(tmp_path):
    shell = (
        f"exec {sys.executable} -m airflow_provider_dataflow.local serve --engine scripted --port 0 "
        f"--exit-with-stdin --home '{tmp_path}' <&-"
    )
    root = str(Path(__file__).parents[4])
    done = subprocess.run(
        ["sh", "-c", shell],
        env=os.environ | {"PYTHONPATH": root},
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--exit-with-stdin" in one_line(done.stderr)
