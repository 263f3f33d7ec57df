"""The supervisor on trees of processes that do not want to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.engines import supervisor
from airflow_provider_dataflow.local.engines.processes import MARKER, marked, marker, sweep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and child subreapers")

# A child that ignores SIGTERM, a grandchild in the same group, and a daemon that called setsid.
TREE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
    time.sleep(600)
    os._exit(0)
if os.fork() == 0:
    time.sleep(600)
print("ready", flush=True)
if sys.argv[1] == "exit":
    time.sleep(0.2)
    os._exit(7)
time.sleep(600)
"""


class Supervised:
    def __init__(self, folder: Path, command: list[str], grace: float = 0.2) -> None:
        self.home, self.run = folder, uuid.uuid4().hex
        self.exit_file, self.stdout = folder / "exit.json", folder / "out"
        script = [sys.executable, "-I", "-S", supervisor.__file__]
        files = [str(self.exit_file), str(grace), str(self.stdout), str(folder / "err")]
        self.process = subprocess.Popen(
            [*script, *files, *command],
            stdin=subprocess.PIPE,
            env=os.environ | {MARKER: marker(folder, self.run)},
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 20
        while not (self.stdout.exists() and "ready" in self.stdout.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def wait_until_grown(self, processes: int) -> None:
        """The root says that it is ready before all of its descendants have forked."""
        deadline = time.monotonic() + 20
        while len(self.left()) < processes:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def outcome(self) -> dict:
        self.process.wait(20)
        self.process.stdin.close()
        return json.loads(self.exit_file.read_text())

    def left(self) -> list[int]:
        return marked(self.home, self.run)


@pytest.fixture
def tree(tmp_path):
    started = []

    def start(mode: str = "stay", grace: float = 0.2) -> Supervised:
        supervised = Supervised(tmp_path, [sys.executable, "-c", TREE, mode], grace)
        started.append(supervised)
        supervised.wait_until_ready()
        return supervised

    yield start
    for supervised in started:
        sweep(supervised.home, supervised.run)


def test_cancel(tree):
    supervised = tree()
    supervised.wait_until_grown(5)
    supervised.process.stdin.write(b"cancel\n")
    supervised.process.stdin.flush()
    assert supervised.outcome() == {"rc": -signal.SIGKILL, "reason": "cancel"}
    assert supervised.left() == []


def test_the_server_dies(tree):
    supervised = tree(grace=60)
    supervised.process.stdin.close()
    assert supervised.outcome() == {"rc": -signal.SIGKILL, "reason": "server-died"}
    assert supervised.left() == []


def test_the_server_dies_during_the_grace(tree):
    supervised = tree(grace=60)
    supervised.process.stdin.write(b"cancel\n")
    supervised.process.stdin.flush()
    time.sleep(0.1)
    supervised.process.stdin.close()
    assert supervised.outcome()["reason"] == "cancel"
    assert supervised.left() == []


def test_a_normal_end_leaves_nothing_either(tree):
    supervised = tree("exit")
    assert supervised.outcome() == {"rc": 7, "reason": "exit"}
    assert supervised.left() == []


def test_a_signal_is_a_cancel(tree):
    supervised = tree()
    supervised.process.terminate()
    assert supervised.outcome()["reason"] == "sigterm"
    assert supervised.left() == []


def test_a_killed_supervisor(tree):
    """The kernel ends its child; the sweep finds the rest."""
    supervised = tree()
    supervised.process.kill()
    supervised.process.wait()
    assert sweep(supervised.home, supervised.run) >= 2
    assert supervised.left() == []
    assert not supervised.exit_file.exists()


def test_a_graceful_end_within_the_grace(tmp_path):
    command = ["/bin/sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]
    supervised = Supervised(tmp_path, command, grace=20)
    supervised.wait_until_ready()
    supervised.process.stdin.write(b"cancel\n")
    supervised.process.stdin.flush()
    assert supervised.outcome() == {"rc": 3, "reason": "cancel"}
    assert "bye" in supervised.stdout.read_text()


def test_a_command_that_cannot_be_started(tmp_path):
    supervised = Supervised(tmp_path, ["/does/not/exist"])
    assert supervised.outcome() == {"rc": 127, "reason": "exit"}
    assert "/does/not/exist" in (tmp_path / "err").read_text()


def test_the_sweep_takes_only_its_own(tmp_path):
    own, other = tmp_path / "own", tmp_path / "own-other"
    processes = [
        subprocess.Popen(["sleep", "60"], env=os.environ | {MARKER: marker(home, "r")})
        for home in (own, other)
    ]
    try:
        assert sweep(own) == 1
        assert processes[0].wait(5) == -signal.SIGKILL
        assert processes[1].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()
