"""The server is killed at random moments while real Spark runs.

No run is lost, none runs twice or is said to have ended otherwise than it did, and no process is left.

``DATAFLOW_KILLS`` says how often (25), ``DATAFLOW_KILLS_SEED`` with which chances.
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

from airflow_provider_dataflow.local.engines.processes import MARKER, marker
from airflow_provider_dataflow.local.state.clock import from_rfc3339
from airflow_provider_dataflow.local.state.run_lifecycle import SERVER_STOPPED
from airflow_provider_dataflow.models.run import is_terminal
from tests.contract.kills import COMPARTMENT, Killable, all_runs, application, wait_until_nothing_is_left

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and child subreapers"),
]

KILLS = int(os.environ.get("DATAFLOW_KILLS", "25"))
SEED = int(os.environ.get("DATAFLOW_KILLS_SEED", "20200129"))
# Runs that are submitted when all is over.
IN_PEACE = 3
# The longest life of a server, unless it is to see an application begin or end.
LIFE_SECONDS = 5.0
# What it waits for that, however slow the machine is.
PATIENCE_SECONDS = 60.0
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
    server = Killable(tmp_path, "--max-concurrent-runs", "2")
    (server.home.buckets.create("ns", "data") / "app.py").write_text(APP)
    yield server
    server.close()
    wait_until_nothing_is_left(server)


def run_of(process: psutil.Process, home: Path) -> str | None:
    """The run that a process belongs to, by its environment or its command line."""
    try:
        value = process.environ().get(MARKER, "")
        command = " ".join(process.cmdline())
    except psutil.Error:
        return None
    if value.startswith(marker(home)):
        return value.removeprefix(marker(home))
    _, found, rest = command.partition(f"{home}/runs/")
    return rest.partition("/")[0] if found else None


def check_processes(server: Killable, since: float) -> None:
    """Whatever runs belongs to a run that this server has started."""
    found = {run_of(process, server.home.path) for process in psutil.process_iter()} - {None}
    for run_id in found:
        states = server.call("GET", f"/_local/runs/{run_id}")["states"]
        started = [from_rfc3339(s["time"]) for s in states if s["state"] == "IN_PROGRESS"]
        assert started, (run_id, states)
        assert started[0] >= since - 0.001, (run_id, states)


def lines_of(ledger: Path) -> int:
    return ledger.read_bytes().count(b"\n")


def live(server: Killable) -> list[str]:
    return sorted(r["id"] for r in all_runs(server) if r["lifecycleState"] == "IN_PROGRESS")


def wait_until_it_listens(server: Killable) -> None:
    assert server.listens_by(time.monotonic() + 60)


def test_kills(server, tmp_path):
    chance = random.Random(SEED)
    ledger = tmp_path / "ledger"
    ledger.touch()
    server.start()
    wait_until_it_listens(server)
    arguments = {end: [str(ledger), str(seconds), end] for end, seconds in (("fail", 0.5), ("succeed", 1))}
    applications = {end: application(server, arguments=given) for end, given in arguments.items()}
    server.kill()
    pending = [(f"token-{n}", "fail" if n % 5 == 4 else "succeed") for n in range(KILLS + IN_PEACE)]
    known: dict[str, tuple[str, str]] = {}  # run -> token and how it is to end
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
        # One may be there of which nobody has been told yet.
        assert set(known) <= there
        assert len(there) <= len(known) + 1
        written = lines_of(ledger)
        is_answered = True
        for _ in range(chance.choice([1, 1, 2])):
            if len(pending) <= IN_PEACE:
                break
            if chance.random() < 0.2:
                server.send_only("POST", "/20200129/runs", details(pending[0][1]), pending[0][0])
                is_answered = False
                break
            submit()
        if is_answered and chance.random() < 0.7:
            more = chance.choice([1, 2, 2])
            deadline = time.monotonic() + PATIENCE_SECONDS
            while lines_of(ledger) < written + more and live(server) and time.monotonic() < deadline:
                time.sleep(0.02)
            # After its last line, an application takes about a second to end.
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
    wait_until_nothing_is_left(server)
    assert {run_of(process, server.home.path) for process in psutil.process_iter()} == {None}

    assert sorted(r["id"] for r in runs) == sorted(known)
    assert len(known) == KILLS + IN_PEACE
    lines = Counter(ledger.read_text().splitlines())
    outcomes: Counter[str] = Counter()
    for r in runs:
        outcomes[check_run(server, r, known[r["id"]][1], lines, r["id"] in cancelled)] += 1
    print(f"{KILLS} kills, {in_spark} of runs in progress: {dict(outcomes)}")
    assert outcomes["SUCCEEDED"] > 0
    assert outcomes["interrupted"] > 0


def check_run(server: Killable, run: dict[str, Any], end: str, lines: Counter[str], cancelled: bool) -> str:
    """Whether what is said of a run is what it did; return how it ended."""
    run_id, state, why = run["id"], run["lifecycleState"], run["lifecycleDetails"]
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
    if why == SERVER_STOPPED:
        assert state == "FAILED"
        return "interrupted"
    assert (starts, ends) == (1, 1)
    assert (state, why) == (("FAILED", FAILED) if end == "fail" else ("SUCCEEDED", None))
    assert duration >= (0.5 if end == "fail" else 1)
    log = server.home.path / "runs" / run_id / "logs" / "spark_application_stdout.log.gz"
    assert gzip.decompress(log.read_bytes()) == b"sum 499500\n"
    return state
