"""Kills of the server at random moments while real Spark runs.

No run is lost or runs twice, each has the outcome that it really had, and no process is left.

``DATAFLOW_KILLS`` is the number of kills (12), ``DATAFLOW_KILLS_SEED`` the seed of the random numbers.
"""

from __future__ import annotations

import gzip
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_provider_dataflow.local.engines.processes import MARKER, marker_value
from airflow_provider_dataflow.local.state.clock import from_rfc3339
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

KILLS = int(os.environ.get("DATAFLOW_KILLS", "12"))
SEED = int(os.environ.get("DATAFLOW_KILLS_SEED", "20200129"))
# Runs that are submitted after the last kill.
RUNS_AFTER_KILLS = 3
# Maximum time until a kill, unless the test waits for an application to begin or end.
LIFE_SECONDS = 5.0
# Maximum wait for an application to begin or end, for slow machines.
APPLICATION_WAIT_SECONDS = 60.0
APP = """\
import os, sys, time
from pyspark.sql import SparkSession

ledger, seconds, end = sys.argv[1:]

def note(what):
    with open(ledger, "a") as f:
        f.write(os.environ["DATAFLOW_RUN_ID"].rpartition(":")[2] + f" {what}\\n")

note("start")
spark = SparkSession.builder.getOrCreate()
print("sum", spark.range(1000).selectExpr("sum(id)").first()[0], flush=True)
time.sleep(float(seconds))
note("end")
if end == "fail":
    raise LookupError("no such month")
"""
FAILED = "The application failed with exit code 1: LookupError: no such month"


@pytest.fixture
def server(tmp_path):
    server = KillableServer(tmp_path, "--max-concurrent-runs", "2")
    (server.home.buckets.create("ns", "data") / "app.py").write_text(APP)
    yield server
    server.close()
    wait_until_no_process_is_left(server)


def run_of(process: psutil.Process, home: Path) -> str | None:
    """Return the run to which a process belongs, from its environment or its command line."""
    try:
        value = process.environ().get(MARKER, "")
        command = " ".join(process.cmdline())
    except psutil.Error:
        return None
    if value.startswith(marker_value(home)):
        return value.removeprefix(marker_value(home))
    _, found, rest = command.partition(f"{home}/runs/")
    return rest.partition("/")[0] if found else None


def check_processes(server: KillableServer, since: float) -> None:
    """Check that all processes belong to runs that this server process has started."""
    found = {run_of(process, server.home.path) for process in psutil.process_iter()} - {None}
    for run_id in found:
        states = server.call("GET", f"/_local/runs/{run_id}")["states"]
        started = [from_rfc3339(s["time"]) for s in states if s["state"] == "IN_PROGRESS"]
        assert started, (run_id, states)
        assert started[0] >= since - 0.001, (run_id, states)


def lines_of(ledger: Path) -> int:
    return ledger.read_bytes().count(b"\n")


def live(server: KillableServer) -> list[str]:
    return sorted(r["id"] for r in all_runs(server) if r["lifecycleState"] == "IN_PROGRESS")


def wait_until_it_listens(server: KillableServer) -> None:
    assert server.listens_by(time.monotonic() + 60)


def test_random_kills_lose_and_repeat_no_run(server, tmp_path):
    chance = random.Random(SEED)
    ledger = tmp_path / "ledger"
    ledger.touch()
    server.start()
    wait_until_it_listens(server)
    arguments = {end: [str(ledger), str(seconds), end] for end, seconds in (("fail", 0.5), ("succeed", 1))}
    applications = {end: application(server, arguments=given) for end, given in arguments.items()}
    server.kill()
    pending = [(f"token-{n}", "fail" if n % 5 == 4 else "succeed") for n in range(KILLS + RUNS_AFTER_KILLS)]
    known: dict[str, tuple[str, str]] = {}  # retry token and intended end of each run
    cancelled: set[str] = set()

    def details(end: str) -> dict[str, Any]:
        return {"compartmentId": COMPARTMENT, "applicationId": applications[end]}

    def submit() -> None:
        token, end = pending[0]
        run_id = server.call("POST", "/20200129/runs", details(end), token)["id"]
        assert run_id not in known
        known[run_id] = (token, end)
        del pending[0]

    in_spark = 0
    for _ in range(KILLS):
        since = time.time()
        server.start()
        if chance.random() < 0.1:
            server.listens_by(time.monotonic() + chance.uniform(0.0, 0.3))
            server.kill()
            continue
        wait_until_it_listens(server)
        check_processes(server, since)
        there = {r["id"] for r in all_runs(server)}
        # The last submit may have been carried out without a response.
        assert set(known) <= there
        assert len(there) <= len(known) + 1
        written = lines_of(ledger)
        is_answered = True
        for _ in range(chance.choice([1, 1, 2])):
            if len(pending) <= RUNS_AFTER_KILLS:
                break
            if chance.random() < 0.2:
                server.send_only("POST", "/20200129/runs", details(pending[0][1]), pending[0][0])
                is_answered = False
                break
            submit()
        if is_answered and chance.random() < 0.7:
            more = chance.choice([1, 2, 2])
            deadline = time.monotonic() + APPLICATION_WAIT_SECONDS
            while lines_of(ledger) < written + more and live(server) and time.monotonic() < deadline:
                time.sleep(0.02)
            # An application ends about a second after its last line.
            time.sleep(chance.uniform(0.0, 1.5))
        elif is_answered:
            time.sleep(chance.uniform(0.0, LIFE_SECONDS))
        if is_answered and chance.random() < 0.25 and (ids := live(server)):
            run_id = chance.choice(ids)
            if server.cancel(run_id):
                cancelled.add(run_id)
            time.sleep(chance.uniform(0.0, 1.0))
        in_spark += len({run_of(process, server.home.path) for process in psutil.process_iter()} - {None})
        server.kill()

    server.start()
    wait_until_it_listens(server)
    while pending:
        submit()
    for run_id, (token, end) in list(known.items())[::10]:
        assert server.call("POST", "/20200129/runs", details(end), token)["id"] == run_id
    deadline = time.monotonic() + 60 + 30 * KILLS
    runs = all_runs(server)
    while not all(is_terminal(r["lifecycleState"]) for r in runs):
        assert time.monotonic() < deadline
        time.sleep(0.5)
        runs = all_runs(server)
    wait_until_no_process_is_left(server)
    assert {run_of(process, server.home.path) for process in psutil.process_iter()} == {None}

    assert sorted(r["id"] for r in runs) == sorted(known)
    assert len(known) == KILLS + RUNS_AFTER_KILLS
    lines = Counter(ledger.read_text().splitlines())
    outcomes: Counter[str] = Counter()
    for r in runs:
        outcomes[check_run(server, r, known[r["id"]][1], lines, r["id"] in cancelled)] += 1
    print(f"{KILLS} kills, {in_spark} of runs in progress: {dict(outcomes)}")
    assert outcomes["SUCCEEDED"] > 0
    assert outcomes["interrupted"] > 0


def check_run(
    server: KillableServer, run: dict[str, Any], end: str, lines: Counter[str], cancelled: bool
) -> str:
    """Check that state, times and log of a run agree with what it did. Return how it ended."""
    run_id, state, reason = run["id"], run["lifecycleState"], run["lifecycleDetails"]
    shown = server.call("GET", f"/_local/runs/{run_id}")["states"]
    states, times = [s["state"] for s in shown], [from_rfc3339(s["time"]) for s in shown]
    starts, ends = lines[f"{run_id} start"], lines[f"{run_id} end"]
    assert starts <= 1
    assert times == sorted(times)
    assert "IN_PROGRESS" in states or starts == 0
    if state == "CANCELED":
        assert cancelled
        return state
    assert states == ["ACCEPTED", "IN_PROGRESS", state]
    duration = run["runDurationInMilliseconds"] / 1000
    assert 0 <= duration <= times[-1] - times[1] + 0.01
    if reason == SERVER_STOPPED:
        assert state == "FAILED"
        return "interrupted"
    assert (starts, ends) == (1, 1)
    assert (state, reason) == (("FAILED", FAILED) if end == "fail" else ("SUCCEEDED", None))
    assert duration >= (0.5 if end == "fail" else 1)
    log = server.home.path / "runs" / run_id / "logs" / "spark_application_stdout.log.gz"
    assert gzip.decompress(log.read_bytes()) == b"sum 499500\n"
    return state
