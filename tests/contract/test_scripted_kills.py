"""Scripted runs on a server that is killed often have the same states and times as on any other server."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.rules import PREFIX
from airflow_provider_dataflow.local.state.clock import from_rfc3339
from tests.contract.conftest import target_of
from tests.contract.killable_server import COMPARTMENT, KillableServer, all_runs, application
from tests.unit.local.scripted import Scripted

STEPS = 100
LIMIT = 5


@pytest.fixture
def server(tmp_path):
    options = ["--engine", "scripted", "--clock", "manual", "--max-concurrent-runs", str(LIMIT)]
    server = KillableServer(tmp_path, *options)
    yield server
    server.close()


def start(server: KillableServer) -> None:
    server.start()
    assert server.listens_by(time.monotonic() + 30)


def random_script(chance: random.Random) -> dict[str, str]:
    seconds = {name: f"{chance.uniform(0, 300):.3f}" for name in ("startup", "duration", "cancelDuration")}
    outcome = chance.choice(["SUCCEEDED", "FAILED", "STOPPED", "IN_PROGRESS"])
    return {PREFIX + name: value for name, value in {**seconds, "outcome": outcome}.items()}


def states(local: Any, run_id: str) -> list[tuple[str, float]]:
    return [
        (s["state"], round(from_rfc3339(s["time"]), 3)) for s in local(f"/_local/runs/{run_id}")["states"]
    ]


def test_killed_server_gives_the_same_states_and_times_as_an_unkilled_one(server, tmp_path):
    chance = random.Random(3)
    other = Scripted(tmp_path / "other", limit=LIMIT)
    start(server)
    run = {"applicationId": application(server), "compartmentId": COMPARTMENT}
    other_application = other.application()
    now = other.clock.now()
    runs: list[str] = []
    other_runs: list[str] = []
    kills = 0
    for step in range(STEPS):
        kind = chance.choice(["submit", "submit", "advance", "cancel"])
        request: tuple[Any, ...]
        match kind:
            case "submit":
                body = {
                    "configuration": random_script(chance),
                    "maxDurationInMinutes": chance.choice([1, 4, None]),
                }
                request = ("POST", "/20200129/runs", run | body, f"token-{step}")
                other_runs.append(other.submit(other_application, **body))
            case "advance":
                seconds = round(chance.uniform(0, 200), 3)
                request = ("POST", "/_local/clock", {"advance": seconds})
                other.advance(seconds)
                now += seconds
            case "cancel":
                if not runs:
                    continue
                number = chance.randrange(len(runs))
                request = ("DELETE", f"/20200129/runs/{runs[number]}")
                other.call("DELETE", f"/runs/{other_runs[number]}")
        if chance.random() < 0.4:
            server.send_only(*request)
            server.kill()
            kills += 1
            start(server)
        # Repeat the request if it may have been lost. A repeated submit or cancel has no second effect.
        if kind == "submit":
            runs.append(server.call(*request)["id"])
        elif kind == "cancel":
            server.cancel(runs[number])
        elif server.call("GET", "/_local/clock")["epoch"] < now - 0.001:
            server.call(*request)
    assert kills > STEPS / 4
    assert server.call("GET", "/_local/clock")["epoch"] == pytest.approx(now)
    for run_id in runs:
        server.cancel(run_id)
    server.call("POST", "/_local/clock", {"advance": 10_000})
    for run_id in other_runs:
        other.call("DELETE", f"/runs/{run_id}")
    other.advance(10_000)

    assert {r["id"] for r in all_runs(server)} == set(runs)
    got = [states(lambda path: server.call("GET", path), run_id) for run_id in runs]
    expected = [states(lambda path: other.json("GET", path), run_id) for run_id in other_runs]
    assert got == expected
    ends = {states[-1][0] for states in got}
    assert ends == {"SUCCEEDED", "FAILED", "STOPPED", "CANCELED"}


def test_runs_end_while_no_server_runs(tmp_path):
    server = LocalDataFlow(tmp_path / "home", engine="scripted")
    try:
        target = target_of(server.start())
        app = target.create_application("hello.py")
        brief, long = (
            target.submit(app.id, configuration={f"{PREFIX}duration": duration}).id
            for duration in ("0.5", "36000")
        )
        server.kill()
        time.sleep(0.6)
        target = target_of(server.start())
        ended = target.client.get_run(brief).data
        assert (ended.lifecycle_state, ended.run_duration_in_milliseconds) == ("SUCCEEDED", 500)
        began, end = (s["time"] for s in server.local(f"runs/{brief}")["states"][1:])
        assert from_rfc3339(end) - from_rfc3339(began) == pytest.approx(0.5, abs=0.002)
        assert target.client.get_run(long).data.lifecycle_state == "IN_PROGRESS"
        target.client.delete_run(long)
        assert target.wait(long).lifecycle_state == "CANCELED"
    finally:
        server.stop()
