"""Stopping ends all processes that were started, including orphans, and no others."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from dev import processes

WAIT = "import time; time.sleep(60)"


def start(tmp_path: Path, marker: str, code: str = WAIT) -> psutil.Popen:
    env = processes.child_environment({processes.MARKER: marker})
    return processes.spawn([sys.executable, "-c", code], env=env, log=tmp_path / "log", cwd=tmp_path)


def read_pids(path: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and len(pids := path.read_text().split()) == count:
            return [int(pid) for pid in pids]
        time.sleep(0.05)
    raise AssertionError("the processes did not start")


def test_clean_stop_kills_nothing(tmp_path: Path) -> None:
    leader = start(tmp_path, "clean")
    assert processes.stop("clean", [leader]) == []
    assert not leader.is_running()


@pytest.mark.parametrize("marker", ["daemons", ""], ids=["by marker", "by session"])
def test_stop_kills_orphaned_children(tmp_path: Path, marker: str) -> None:
    # The child with a marker starts a session of its own; the other one is only found by its session.
    code = (
        "import os, subprocess, sys\n"
        f"child = [sys.executable, '-c', {WAIT!r}]\n"
        f"orphan = subprocess.Popen(child, start_new_session={bool(marker)})\n"
        f"open('pids', 'w').write(f'{{os.getpid()}} {{orphan.pid}}')\n" + WAIT
    )
    leader = start(tmp_path, marker or "unknown to stop", code)
    _, child = read_pids(tmp_path / "pids", 2)

    killed = processes.stop(marker, [leader])

    assert [int(line.split()[0]) for line in killed] == [child]
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_stop_leaves_other_processes_running(tmp_path: Path) -> None:
    own, other = start(tmp_path, "own"), start(tmp_path, "other")
    try:
        processes.stop("own", [own])
        assert other.is_running()
        assert other.status() != psutil.STATUS_ZOMBIE
    finally:
        processes.stop("", [other])


def test_stop_ends_suspended_process(tmp_path: Path) -> None:
    leader = start(tmp_path, "frozen")
    leader.suspend()
    assert processes.stop("frozen", [leader], timeout=10) == []


def test_child_environment_excludes_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/somewhere")
    monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", "{}")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("NO_PROXY", "example.org")
    env = processes.child_environment({"A": "b"})
    assert not [name for name in env if name.startswith("AIRFLOW") or name == "PYTHONDONTWRITEBYTECODE"]
    assert env["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert env["A"] == "b"
