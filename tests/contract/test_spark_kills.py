"""Many kills of the server: no run is lost, none runs twice, and no process is left.

Everything is real except Java, which is a shell script that starts a daemon, sleeps, and writes what it did
into a ledger. For real Spark, see ``test_real_spark_kills.py``.

``DATAFLOW_KILLS`` is the number of kills (50).
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.state.run_lifecycle import SERVER_STOPPED
from airflow_provider_dataflow.models.run import is_terminal
from tests.contract.killable_server import (
    COMPARTMENT,
    KillableServer,
    all_runs,
    application,
    wait_until_no_process_is_left,
)

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and child subreapers"),
]

KILLS = int(os.environ.get("DATAFLOW_KILLS", "50"))
RUNS = KILLS + 20
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


def killable_server(folder: Path) -> KillableServer:
    """Return a server whose Java is the shell script."""
    ledger = folder / "ledger"
    ledger.touch()
    java = folder / "java"
    (java / "bin").mkdir(parents=True)
    (java / "release").write_text('JAVA_VERSION="17.0.1"\n')
    (java / "bin" / "java").write_text(JAVA.format(ledger=ledger))
    (java / "bin" / "java").chmod(0o755)
    server = KillableServer(folder, "--max-concurrent-runs", "3", JAVA_HOME=str(java))
    (server.home.buckets.create("ns", "data") / "app.py").touch()
    return server


@pytest.fixture
def server(tmp_path):
    server = killable_server(tmp_path)
    yield server
    server.close()
    wait_until_no_process_is_left(server)


def test_kills_lose_and_repeat_no_run(server, tmp_path):
    chance = random.Random(20200129)
    server.start()
    assert server.listens_by(time.monotonic() + 30)
    run = {"compartmentId": COMPARTMENT, "applicationId": application(server)}
    server.kill()
    known: dict[str, str] = {}  # run id by retry token
    pending = [f"token-{n}" for n in range(RUNS)]
    cancelled = set()
    listened = 0

    for _ in range(KILLS):
        server.start()
        # Some servers are killed before they listen.
        early = chance.random() < 0.3
        if server.listens_by(time.monotonic() + (chance.uniform(0.0, 0.2) if early else 30)):
            listened += 1
            end = time.monotonic() + chance.uniform(0.0, 0.3)
            for _ in range(chance.randrange(4)):
                if not pending or time.monotonic() >= end:
                    break
                token = pending[0]
                if chance.random() < 0.3:
                    # Kill the server before its response; the same request is sent again later.
                    server.send_only("POST", "/20200129/runs", run, token)
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
            wait_until_no_process_is_left(server)
    assert listened > KILLS / 2

    # No more kills: let all runs end.
    server.start()
    assert server.listens_by(time.monotonic() + 30)
    for token in pending:
        known[token] = server.call("POST", "/20200129/runs", run, token)["id"]
    # A repeated submit returns the same run.
    for token in list(known)[::10]:
        assert server.call("POST", "/20200129/runs", run, token)["id"] == known[token]
    deadline = time.monotonic() + 120
    runs = all_runs(server)
    while not all(is_terminal(r["lifecycleState"]) for r in runs):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        runs = all_runs(server)
    wait_until_no_process_is_left(server)

    assert sorted(r["id"] for r in runs) == sorted(known.values())
    assert len(set(known.values())) == RUNS
    lines = Counter((tmp_path / "ledger").read_text().splitlines())
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
    # The test proves something only if some runs were interrupted and some were not.
    assert outcomes["SUCCEEDED"] > 10
    assert outcomes["FAILED"] > 10
