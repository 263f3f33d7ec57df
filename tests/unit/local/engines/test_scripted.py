from __future__ import annotations

import gzip
import logging
import random
from typing import Any

import pytest

from airflow_provider_dataflow.local.engines.base import RunOutcome
from airflow_provider_dataflow.local.engines.rules import PREFIX
from airflow_provider_dataflow.local.state.clock import from_rfc3339
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.run_lifecycle import SERVER_STOPPED
from airflow_provider_dataflow.local.state.store import RUNS
from airflow_provider_dataflow.models.run import is_terminal
from tests.unit.local.scripted import Scripted
from tests.unit.local.support import COMPARTMENT, Local


@pytest.fixture
def local(tmp_path) -> Scripted:
    return Scripted(tmp_path, limit=100)


def moments(local: Scripted, run_id: str) -> dict[str, float]:
    """Return the time at which the run entered each state, in seconds after ACCEPTED."""
    states = local.json("GET", f"/_local/runs/{run_id}")["states"]
    start = from_rfc3339(states[0]["time"])
    return {s["state"]: round(from_rfc3339(s["time"]) - start, 3) for s in states}


def test_run_without_script_succeeds_at_once(local):
    run_id = local.submit()
    assert moments(local, run_id) == {"ACCEPTED": 0, "IN_PROGRESS": 0, "SUCCEEDED": 0}


def test_run_follows_its_script(local):
    run_id = local.submit_script(
        startup=30, duration=90, outcome="FAILED", details="no such month", bytesRead=10, bytesWritten=20
    )
    assert local.state(run_id) == "ACCEPTED"
    local.advance(30)
    assert local.state(run_id) == "IN_PROGRESS"
    local.advance(1000)
    run = local.run(run_id)
    assert (run["lifecycleState"], run["lifecycleDetails"]) == ("FAILED", "no such month")
    assert (run["dataReadInBytes"], run["dataWrittenInBytes"]) == (10, 20)
    assert run["runDurationInMilliseconds"] == 90_000
    # The times are exact, although no request came at these times.
    assert moments(local, run_id) == {"ACCEPTED": 0, "IN_PROGRESS": 30, "FAILED": 120}


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED", "STOPPED", "CANCELED"])
def test_run_ends_with_the_declared_outcome(local, outcome):
    run_id = local.submit_script(outcome=outcome, duration=1)
    local.advance(1)
    run = local.run(run_id)
    assert run["lifecycleState"] == outcome
    assert bool(run["lifecycleDetails"]) == (outcome == "FAILED")


def test_endless_run_ends_only_by_cancel(local):
    run_id = local.submit_script(outcome="IN_PROGRESS")
    local.advance(10**6)
    assert local.state(run_id) == "IN_PROGRESS"
    local.call("DELETE", f"/runs/{run_id}")
    assert local.state(run_id) == "CANCELED"


def test_declared_state_replaces_in_progress(local):
    run_id = local.submit_script(state="PAUSING", duration=60, startup=5)
    assert local.state(run_id) == "ACCEPTED"
    local.advance(5)
    listed = local.json("GET", f"/runs?compartmentId={COMPARTMENT}")
    assert [local.state(run_id), listed[0]["lifecycleState"]] == ["PAUSING", "PAUSING"]
    assert local.states(run_id) == ["ACCEPTED", "PAUSING"]
    after = restarted(local)
    assert after.state(run_id) == "PAUSING"
    assert "PAUSING" in after.call("GET", f"/console/runs/{run_id}").content().decode()
    after.advance(60)
    assert after.states(run_id) == ["ACCEPTED", "PAUSING", "SUCCEEDED"]
    cancelled = after.submit_script(state="PAUSING", outcome="IN_PROGRESS", cancelDuration=1)
    after.call("DELETE", f"/runs/{cancelled}")
    assert after.state(cancelled) == "CANCELING"


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED", "STOPPED", "CANCELED"])
def test_run_can_be_ended_from_outside(local, outcome):
    run_id = local.submit_script(outcome="IN_PROGRESS", bytesRead=10)
    local.json("POST", f"/_local/runs/{run_id}/end", {"outcome": outcome, "bytesWritten": 20})
    run = local.run(run_id)
    assert run["lifecycleState"] == outcome
    assert (run["dataReadInBytes"], run["dataWrittenInBytes"]) == (10, 20)
    assert local.error("POST", f"/_local/runs/{run_id}/end", {})[:2] == (409, "IncorrectState")


def test_run_can_be_ended_before_its_declared_end(local):
    run_id = local.submit_script(outcome="FAILED", duration=100)
    local.advance(10)
    assert local.error("POST", f"/_local/runs/{run_id}/end", {"outcome": "IN_PROGRESS"})[0] == 400
    local.json("POST", f"/_local/runs/{run_id}/end", {})
    local.advance(1000)
    assert moments(local, run_id) == {"ACCEPTED": 0, "IN_PROGRESS": 0, "SUCCEEDED": 10}


@pytest.mark.parametrize(
    ("kind", "lingers", "end"),
    [("BATCH", "CANCELING", "CANCELED"), ("STREAMING", "STOPPING", "STOPPED")],
)
def test_cancel_takes_the_declared_duration(local, kind, lingers, end):
    configuration = {f"{PREFIX}duration": "100", f"{PREFIX}cancelDuration": "15"}
    run_id = local.submit(local.application(type=kind), configuration=configuration)
    local.advance(10)
    local.call("DELETE", f"/runs/{run_id}")
    local.call("DELETE", f"/runs/{run_id}")
    local.advance(14)
    assert local.state(run_id) == lingers
    local.advance(1000)
    assert moments(local, run_id) == {"ACCEPTED": 0, "IN_PROGRESS": 10 - 10, lingers: 10, end: 25}


def test_script_takes_precedence_over_the_startup_time_of_the_server(tmp_path):
    local = Scripted(tmp_path, options=Options(verify_signatures=False, startup_seconds=20.0))
    quick, other = local.submit_script(startup=0, duration=60), local.submit_script(duration=60)
    assert (local.state(quick), local.state(other)) == ("IN_PROGRESS", "ACCEPTED")


def test_cancel_during_startup(local):
    run_id = local.submit_script(startup=30)
    local.call("DELETE", f"/runs/{run_id}")
    local.advance(100)
    assert local.states(run_id) == ["ACCEPTED", "CANCELED"]


def test_delayed_run_is_cancelled_with_its_pool(tmp_path):
    options = Options(verify_signatures=False, submission_starts_pool=False)
    local = Scripted(tmp_path, options=options)
    configurations = [{"shape": "VM.Standard2.1", "min": 2, "max": 4}]
    pool = local.json(
        "POST",
        "/pools",
        {"compartmentId": COMPARTMENT, "displayName": "a pool", "configurations": configurations},
    )["id"]
    local.advance(1)
    local.call("POST", f"/pools/{pool}/actions/stop")
    local.advance(1)
    run_id = local.submit(poolId=pool, configuration={f"{PREFIX}startup": "3600"})
    assert local.call("DELETE", f"/pools/{pool}").status == 202
    assert local.state(run_id) == "CANCELED"
    assert local.run(run_id)["lifecycleDetails"] == "The run was canceled: its pool was deleted."


def test_run_is_cancelled_at_its_maximum_duration(local):
    application = local.application(configuration={f"{PREFIX}duration": "600"})
    run_id = local.submit(application, maxDurationInMinutes=2)
    local.advance(1000)
    assert moments(local, run_id)["CANCELED"] == 120
    assert "maximum duration" in local.run(run_id)["lifecycleDetails"]


def test_run_overrides_the_script_of_its_application(local):
    application = local.application(configuration={f"{PREFIX}outcome": "FAILED", f"{PREFIX}duration": "5"})
    failed, fine = local.submit(application), local.submit_script(application, outcome="SUCCEEDED")
    local.advance(5)
    assert (local.state(failed), local.state(fine)) == ("FAILED", "SUCCEEDED")


def test_submit_with_an_invalid_script_is_400(local):
    application = local.application()
    body = {
        "compartmentId": COMPARTMENT,
        "applicationId": application,
        "configuration": {f"{PREFIX}duration": "soon"},
    }
    status, code, message = local.error("POST", "/runs", body)
    assert (status, code) == (400, "InvalidParameter")
    assert "duration must be a number of seconds" in message
    assert local.json("GET", f"/runs?compartmentId={COMPARTMENT}") == []


def test_declared_output_is_in_the_logs(local):
    run_id = local.submit_script(stdout="é 1\n", stderr="Traceback", duration=5)
    names = [log["name"] for log in local.json("GET", f"/runs/{run_id}/logs")]
    assert names[:2] == ["spark_application_stdout.log.gz", "spark_application_stderr.log.gz"]
    for name, text in zip(names, ("é 1\n", "Traceback"), strict=False):
        response = local.call("GET", f"/runs/{run_id}/logs/{name}")
        assert gzip.decompress(response.content()).decode() == text


def test_rules_take_precedence_over_the_configuration(local):
    rule = {"displayName": "etl-*", "attempts": [{"outcome": "FAILED"}, {"outcome": "SUCCEEDED"}]}
    assert local.json("PUT", "/_local/rules", [rule]) == [rule | {"matched": 0}]
    application = local.application(
        displayName="etl-x", configuration={f"{PREFIX}outcome": "STOPPED", f"{PREFIX}duration": "7"}
    )
    runs = [local.submit(application) for _ in range(3)]
    other = local.submit_script(outcome="STOPPED")
    assert local.state(runs[0]) == "IN_PROGRESS"
    local.advance(7)
    assert [local.state(r) for r in [*runs, other]] == ["FAILED", "SUCCEEDED", "SUCCEEDED", "STOPPED"]
    assert local.json("GET", "/_local/rules")[0]["matched"] == 3
    assert local.call("DELETE", "/_local/rules").status == 204
    assert local.json("GET", "/_local/rules") == []


def test_replayed_submit_does_not_count_for_rules(local):
    local.json("PUT", "/_local/rules", [{"attempts": [{"outcome": "FAILED"}, {}]}])
    body = {"compartmentId": COMPARTMENT, "applicationId": local.application()}
    ids = {local.json("POST", "/runs", body, opc_retry_token="t")["id"] for _ in range(3)}
    assert len(ids) == 1
    assert local.json("GET", "/_local/rules")[0]["matched"] == 1


@pytest.mark.parametrize("body", [{}, {"rules": []}, ["x"], [{"attempts": []}], [], 'x"}, {"y": ['])
def test_invalid_rules_are_400(local, body):
    response = local.call("PUT", "/_local/rules", body)
    assert response.status == (200 if body == [] else 400)


def test_rules_need_the_scripted_engine(tmp_path):
    other = Local(tmp_path)
    assert other.call("PUT", "/_local/rules", []).status == 409
    assert other.call("POST", "/_local/rules", {"attempts": [{}]}).status == 409


def test_added_rule_comes_first(local):
    first = {"displayName": "etl", "attempts": [{"outcome": "FAILED"}, {"outcome": "SUCCEEDED"}]}
    local.json("POST", "/_local/rules", first)
    application = local.application(displayName="etl")
    assert local.state(local.submit(application)) == "FAILED"
    other = {"displayName": "x", "attempts": [{"outcome": "STOPPED"}]}
    assert local.json("POST", "/_local/rules", other) == [other | {"matched": 0}, first | {"matched": 1}]
    assert local.state(local.submit(application)) == "SUCCEEDED"
    assert local.error("POST", "/_local/rules", [other])[0] == 400
    assert local.error("POST", "/_local/rules", {"attempts": []})[0] == 400


def restarted(local: Scripted, **options: Any) -> Scripted:
    """Return a new server with the state of a killed one, which was not closed."""
    made = {"store": local.store, "clock": local.clock, "limit": local.limit} | options
    return Scripted(local.folder, **made)


def test_scripted_runs_continue_after_a_restart(local):
    application = local.application(maxDurationInMinutes=2)
    running = local.submit_script(
        application, startup=10, duration=60, outcome="FAILED", details="no such month"
    )
    starting = local.submit_script(application, startup=60, duration=5)
    cancelled = local.submit_script(application, duration=100, cancelDuration=40)
    endless = local.submit_script(application, outcome="IN_PROGRESS", cancelDuration=3)
    local.advance(15)
    local.call("DELETE", f"/runs/{cancelled}")
    for seconds, states in [
        (0, ["IN_PROGRESS", "ACCEPTED", "CANCELING", "IN_PROGRESS"]),
        (45, ["IN_PROGRESS", "IN_PROGRESS", "CANCELED", "IN_PROGRESS"]),
        (20, ["FAILED", "SUCCEEDED", "CANCELED", "IN_PROGRESS"]),
        (1000, ["FAILED", "SUCCEEDED", "CANCELED", "CANCELED"]),
    ]:
        # Time passes while no server is running.
        local.clock.advance(seconds)
        local = restarted(local)
        assert [local.state(r) for r in (running, starting, cancelled, endless)] == states
    assert moments(local, running) == {"ACCEPTED": 0, "IN_PROGRESS": 10, "FAILED": 70}
    assert moments(local, starting) == {"ACCEPTED": 0, "IN_PROGRESS": 60, "SUCCEEDED": 65}
    assert moments(local, cancelled) == {"ACCEPTED": 0, "IN_PROGRESS": 0, "CANCELING": 15, "CANCELED": 55}
    assert moments(local, endless) == {"ACCEPTED": 0, "IN_PROGRESS": 0, "CANCELING": 120, "CANCELED": 123}
    run = local.run(running)
    assert (run["runDurationInMilliseconds"], run["lifecycleDetails"]) == (60_000, "no such month")
    assert "maximum duration" in local.run(endless)["lifecycleDetails"]


def test_queued_runs_continue_after_a_restart(local):
    local = restarted(local, limit=1)
    runs = [local.submit_script(duration=60) for _ in range(3)]
    local.advance(10)
    local.clock.advance(1000)
    local = restarted(local)
    assert [list(moments(local, r).values()) for r in runs] == [[0, 0, 60], [0, 60, 120], [0, 120, 180]]


def test_stopped_server_does_not_end_scripted_runs(local):
    run_id = local.submit_script(duration=60)
    local.service.lifecycle.close()
    local.clock.advance(60)
    assert moments(restarted(local), run_id) == {"ACCEPTED": 0, "IN_PROGRESS": 0, "SUCCEEDED": 60}


def test_restart_with_another_engine_ends_scripted_runs(local, tmp_path):
    run_id = local.submit_script(duration=60)
    other = Local(tmp_path, store=local.store, clock=local.clock)
    assert other.json("GET", f"/runs/{run_id}")["lifecycleDetails"] == SERVER_STOPPED
    running = other.submit()
    after = restarted(local)
    assert [after.state(r) for r in (run_id, running)] == ["FAILED", "FAILED"]


def test_idle_session_ends_while_no_server_runs(local):
    application = local.application(type="SESSION", idleTimeoutInMinutes=10)
    used, unused = local.submit(application), local.submit(application)
    local.advance(300)
    local.json("POST", f"/runs/{used}/statements", {"code": "1"})
    local.advance(10)
    local = restarted(local)
    assert local.json("POST", f"/runs/{used}/statements", {"code": "2"})["id"] == 1
    local.clock.advance(1000)
    local = restarted(local)
    assert moments(local, unused)["STOPPED"] == 600
    assert moments(local, used)["STOPPED"] == 910


def test_runs_in_pools_continue_after_a_restart(local):
    pool = local.json(
        "POST",
        "/pools",
        {
            "compartmentId": COMPARTMENT,
            "displayName": "pool",
            "configurations": [{"shape": "VM.Standard2.1", "min": 1, "max": 2}],
            "idleTimeoutInMinutes": 5,
        },
    )["id"]
    local.advance(10)
    application = local.application(poolId=pool)
    first, second = (
        local.submit_script(application, duration=60),
        local.submit_script(application, duration=60),
    )
    local = restarted(local)
    metrics = local.json("GET", f"/pools/{pool}")["poolMetrics"]
    assert metrics["activeRunsCount"] == 1
    assert metrics["activelyUsedNodeCount"] == [{"logicalShape": "VM.Standard2.1", "count": 2}]
    local.clock.advance(100)
    local = restarted(local)
    assert (local.state(first), local.state(second)) == ("SUCCEEDED", "IN_PROGRESS")
    local.clock.advance(1000)
    local = restarted(local)
    assert moments(local, second)["SUCCEEDED"] == 120
    local.advance(1)
    assert local.json("GET", f"/pools/{pool}")["lifecycleState"] == "STOPPED"


def test_reset_deletes_runs_and_rules(local):
    running = local.submit_script(duration=60, cancelDuration=60)
    waiting = local.submit_script(startup=60)
    local.json("PUT", "/_local/rules", [{"attempts": [{}]}])
    local.json("POST", "/_local/faults", {"kind": "slow", "seconds": 1})
    assert local.json("GET", f"/runs/{running}/logs")
    assert list((local.folder / "runs").glob("*"))
    assert local.call("POST", "/_local/reset").content() == b"{}"
    for run_id in (running, waiting):
        assert local.call("GET", f"/runs/{run_id}").status == 404
    assert not list((local.folder / "runs").glob("*"))
    local.call("DELETE", "/_local/journal")
    assert local.json("GET", "/_local/faults") == local.json("GET", "/_local/rules") == []
    assert local.json("GET", "/_local/clock")["nextDue"] is None
    local.advance(1000)
    run_id = local.submit_script(duration=1)
    local.advance(1)
    assert local.state(run_id) == "SUCCEEDED"
    assert local.json("GET", "/_local/health")["runs"]["total"] == 1


def test_reset_waits_for_running_processes(tmp_path):
    other = Local(tmp_path)
    run_id = other.submit()
    response = other.call("POST", "/_local/reset")
    assert other.engine.cancelled == [run_id]
    assert other.service.lifecycle.forgotten == {run_id}
    assert other.call("GET", f"/runs/{run_id}").status == 404
    other.engine.finished(run_id, RunOutcome(False))
    assert response.content() == b"{}"
    assert other.json("GET", "/_local/health")["runs"]["total"] == 0


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_runs_are_reproducible(count, tmp_path, caplog):
    caplog.set_level(logging.WARNING)  # caplog would keep a log line for each change of state

    def simulate(name: str, count: int, hours: float, restarts: float = 0.0) -> list[tuple[str, int]]:
        local = Scripted(tmp_path / name, limit=50)
        kills = random.Random(2)
        chance = random.Random(1)
        application = local.application(maxDurationInMinutes=5)
        runs: list[str] = []
        for _ in range(count):
            script = {
                "duration": chance.randrange(400),
                "startup": chance.randrange(60),
                "cancelDuration": chance.randrange(20),
                "outcome": chance.choice(["SUCCEEDED", "SUCCEEDED", "FAILED"]),
            }
            runs.append(local.submit_script(application, **script))
            if chance.random() < 0.05:
                local.call("DELETE", f"/runs/{chance.choice(runs)}")
            local.clock.advance(hours * 3600 / count)
            if kills.random() < restarts:
                local = restarted(local)
            assert local.service.lifecycle.counts()["active"] <= 50
        local.advance(24 * 3600)
        bodies = local.store.select(RUNS)
        assert len(bodies) == count
        assert all(is_terminal(r.body["lifecycleState"]) for r in bodies)
        durations = [r.body["runDurationInMilliseconds"] or 0 for r in bodies]
        assert max(durations) <= (300 + 20) * 1000
        return [(r.body["lifecycleState"], d) for r, d in zip(bodies, durations, strict=True)]

    ended = simulate("large", count, count / 10_000 * 6)
    assert {state for state, _ in ended} == {"SUCCEEDED", "FAILED", "CANCELED"}
    assert simulate("one", 200, 0.1) == simulate("two", 200, 0.1) == simulate("three", 200, 0.1, 0.3)
