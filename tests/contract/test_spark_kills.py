"""A server that is killed a hundred times loses no run, runs none twice, and leaves no process behind.

The service, its supervisors and its queue are the real ones; only Java is not: a script that takes its time,
has a daemon of its own, and writes down what it did. With real Spark, see ``test_spark.py``.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dataflow.local.home import Home
from airflow_provider_dataflow.local.lifecycle import SERVER_STOPPED
from airflow_provider_dataflow.local.processes import marked
from airflow_provider_dataflow.run import is_terminal
from tests.contract import killable

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and child subreapers"),
]

KILLS = 100
RUNS = 120
COMPARTMENT = "ocid1.compartment.oc1..aaaa"
JAVA = """\
#!/bin/sh
run="${{DATAFLOW_RUN_ID##*:}}"
echo "$run start" >> {ledger}
(setsid sleep 600 &)
case "$run" in
    *[a-h]) sleep 1 ;;
    *[i-p]) sleep 0.3 ;;
esac
echo "$run end" >> {ledger}
"""


class Killable:
    """One home, and the server that works in it at the moment."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.home.create()
        (self.home.buckets.create("ns", "data") / "app.py").touch()
        self.ledger = folder / "ledger"
        self.ledger.touch()
        java = folder / "java"
        (java / "bin").mkdir(parents=True)
        (java / "release").write_text('JAVA_VERSION="17.0.1"\n')
        (java / "bin" / "java").write_text(JAVA.format(ledger=self.ledger))
        (java / "bin" / "java").chmod(0o755)
        options = ["--port", "0", "--no-verify", "--no-warm", "--quiet", "--max-concurrent-runs", "3"]
        self.log = open(folder / "log", "ab")  # noqa: SIM115 - closed below
        self._process = subprocess.Popen(
            [sys.executable, killable.__file__, "serve", "--home", str(self.home.path), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | {"JAVA_HOME": str(java)},
        )
        self._pid = 0
        self._connection: http.client.HTTPConnection | None = None

    def _tell(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def start(self) -> None:
        self._pid = int(self._tell("start"))

    def kill(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        assert self._tell("kill") == "killed"

    def listens_by(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            info = self.home.info()
            if info is not None and info.pid == self._pid:
                self._connection = http.client.HTTPConnection("127.0.0.1", info.port, timeout=30)
                return True
            time.sleep(0.005)
        return False

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        assert self._connection is not None
        headers = {} if token is None else {"opc-retry-token": token}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, headers | {"content-type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        assert response.status < 300, answer
        return json.loads(answer) if answer else None

    def cancel(self, run_id: str) -> bool:
        """:return: ``False`` if it had ended already"""
        assert self._connection is not None
        self._connection.request("DELETE", f"/20200129/runs/{run_id}")
        response = self._connection.getresponse()
        response.read()
        assert response.status in (204, 409)
        return response.status == 204

    def send_only(self, path: str, body: Any, token: str) -> None:
        """Ask, and be gone before there is an answer."""
        assert self._connection is not None
        headers = {"opc-retry-token": token, "content-type": "application/json"}
        self._connection.request("POST", path, json.dumps(body), headers)
        time.sleep(random.random() * 0.005)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self.log.close()


@pytest.fixture
def server(tmp_path):
    server = Killable(tmp_path)
    yield server
    server.close()
    wait_until_nothing_is_left(server)


def wait_until_nothing_is_left(server: Killable) -> None:
    deadline = time.monotonic() + 10
    while left := marked(server.home.path):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def application(server: Killable) -> str:
    details = {
        "compartmentId": COMPARTMENT,
        "displayName": "app",
        "driverShape": "VM.Standard2.1",
        "executorShape": "VM.Standard2.1",
        "language": "PYTHON",
        "numExecutors": 1,
        "sparkVersion": "3.5.0",
        "fileUri": "oci://data@ns/app.py",
    }
    answer: dict[str, Any] = server.call("POST", "/20200129/applications", details)
    return str(answer["id"])


def all_runs(server: Killable) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = server.call("GET", f"/20200129/runs?compartmentId={COMPARTMENT}&limit=1000")
    return runs


def test_a_hundred_kills(server):
    chance = random.Random(20200129)
    server.start()
    assert server.listens_by(time.monotonic() + 30)
    run = {"compartmentId": COMPARTMENT, "applicationId": application(server)}
    server.kill()
    known: dict[str, str] = {}  # retry token -> run
    pending = [f"token-{n}" for n in range(RUNS)]
    cancelled = set()
    listened = 0

    for _ in range(KILLS):
        server.start()
        # Some die before they listen.
        early = chance.random() < 0.3
        if server.listens_by(time.monotonic() + (chance.uniform(0.0, 0.2) if early else 30)):
            listened += 1
            end = time.monotonic() + chance.uniform(0.0, 0.3)
            for _ in range(chance.randrange(4)):
                if not pending or time.monotonic() >= end:
                    break
                token = pending[0]
                if chance.random() < 0.3:
                    # Killed with the answer under way: whether it is known there, shows when asked again.
                    server.send_only("/20200129/runs", run, token)
                    break
                known[token] = server.call("POST", "/20200129/runs", run, token)["id"]
                pending.pop(0)
            else:
                if known and chance.random() < 0.7:
                    run_id = chance.choice(list(known.values()))
                    if server.cancel(run_id):
                        cancelled.add(run_id)
                time.sleep(max(0.0, end - time.monotonic()))
        server.kill()
        if chance.random() < 0.2:
            wait_until_nothing_is_left(server)
    assert listened > KILLS / 2

    # At last it may work in peace.
    server.start()
    assert server.listens_by(time.monotonic() + 30)
    for token in pending:
        known[token] = server.call("POST", "/20200129/runs", run, token)["id"]
    # Each request, sent again, is still the same run.
    for token in list(known)[::10]:
        assert server.call("POST", "/20200129/runs", run, token)["id"] == known[token]
    deadline = time.monotonic() + 120
    runs = all_runs(server)
    while not all(is_terminal(r["lifecycleState"]) for r in runs):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        runs = all_runs(server)
    wait_until_nothing_is_left(server)

    assert sorted(r["id"] for r in runs) == sorted(known.values())
    assert len(set(known.values())) == RUNS
    lines = Counter(server.ledger.read_text().splitlines())
    outcomes: Counter[str] = Counter()
    for r in runs:
        run_id, state = r["id"], r["lifecycleState"]
        states = [s["state"] for s in server.call("GET", f"/_local/runs/{run_id}")["states"]]
        starts, ends = lines[f"{run_id} start"], lines[f"{run_id} end"]
        assert starts <= 1
        assert "IN_PROGRESS" in states or starts == 0
        if state == "SUCCEEDED":
            assert (starts, ends) == (1, 1)
            assert states == ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]
        elif state == "FAILED":
            assert r["lifecycleDetails"] == SERVER_STOPPED
            assert states == ["ACCEPTED", "IN_PROGRESS", "FAILED"]
        else:
            assert state == "CANCELED"
            assert run_id in cancelled
            assert states in (
                ["ACCEPTED", "CANCELED"],
                ["ACCEPTED", "IN_PROGRESS", "CANCELING", "CANCELED"],
            )
        outcomes[state] += 1
    # The test is none, if nothing was interrupted or everything.
    assert outcomes["SUCCEEDED"] > 10
    assert outcomes["FAILED"] > 10
