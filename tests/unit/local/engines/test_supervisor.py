"""Supervisor with process trees that resist their end."""

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
from airflow_provider_dataflow.local.engines.processes import (
    MARKER,
    kill_with_marker,
    marker_value,
    pids_with_marker,
)

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
            env=os.environ | {MARKER: marker_value(folder, self.run)},
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 20
        while not (self.stdout.exists() and "ready" in self.stdout.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def wait_until_grown(self, processes: int) -> None:
        """Wait for all descendants: the root prints "ready" before all of them have been forked."""
        deadline = time.monotonic() + 20
        while len(self.left()) < processes:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def outcome(self) -> dict:
        self.process.wait(20)
        self.process.stdin.close()
        return json.loads(self.exit_file.read_text())

    def left(self) -> list[int]:
        return pids_with_marker(self.home, self.run)


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
        kill_with_marker(supervised.home, supervised.run)


def test_cancel_ends_the_whole_process_tree(tree):
    supervised = tree()
    supervised.wait_until_grown(5)
    supervised.process.stdin.write(b"cancel\n")
    supervised.process.stdin.flush()
    assert supervised.outcome() == {"rc": -signal.SIGKILL, "reason": "cancel"}
    assert supervised.left() == []


def test_death_of_the_server_ends_the_process_tree(tree):
    supervised = tree(grace=60)
    supervised.process.stdin.close()
    assert supervised.outcome() == {"rc": -signal.SIGKILL, "reason": "server-died"}
    assert supervised.left() == []


def test_death_of_the_server_cuts_the_grace_period_short(tree):
    supervised = tree(grace=60)
    supervised.process.stdin.write(b"cancel\n")
    supervised.process.stdin.flush()
    time.sleep(0.1)
    supervised.process.stdin.close()
    assert supervised.outcome()["reason"] == "cancel"
    assert supervised.left() == []


def test_exit_of_the_command_ends_its_descendants(tree):
    supervised = tree("exit")
    assert supervised.outcome() == {"rc": 7, "reason": "exit"}
    assert supervised.left() == []


def test_sigterm_is_a_cancel(tree):
    supervised = tree()
    supervised.process.terminate()
    assert supervised.outcome()["reason"] == "sigterm"
    assert supervised.left() == []


def test_processes_of_a_killed_supervisor_are_killed(tree):
    """The kernel kills the supervisor's child; the marker identifies the others."""
    supervised = tree()
    supervised.process.kill()
    supervised.process.wait()
    assert kill_with_marker(supervised.home, supervised.run) >= 2
    assert supervised.left() == []
    assert not supervised.exit_file.exists()


def test_command_may_exit_within_the_grace_period(tmp_path):
    command = ["/bin/sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]
    supervised = Supervised(tmp_path, command, grace=20)
    supervised.wait_until_ready()
    supervised.process.stdin.write(b"cancel\n")
    supervised.process.stdin.flush()
    assert supervised.outcome() == {"rc": 3, "reason": "cancel"}
    assert "bye" in supervised.stdout.read_text()


def test_command_that_cannot_be_started_is_reported(tmp_path):
    supervised = Supervised(tmp_path, ["/does/not/exist"])
    assert supervised.outcome() == {"rc": 127, "reason": "exit"}
    assert "/does/not/exist" in (tmp_path / "err").read_text()


def test_kill_with_marker_leaves_other_homes_alone(tmp_path):
    own, other = tmp_path / "own", tmp_path / "own-other"
    processes = [
        subprocess.Popen(["sleep", "60"], env=os.environ | {MARKER: marker_value(home, "r")})
        for home in (own, other)
    ]
    try:
        assert kill_with_marker(own) == 1
        assert processes[0].wait(5) == -signal.SIGKILL
        assert processes[1].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()
