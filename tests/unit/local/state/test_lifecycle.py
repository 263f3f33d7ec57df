from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.engines.base import RunOutcome
from airflow_provider_dataflow.local.state.clock import ManualClock, Timeline, from_rfc3339, rfc3339
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.run_lifecycle import SERVER_STOPPED
from airflow_provider_dataflow.local.state.store import Store
from tests.unit.local.support import Local


def test_successful_run_goes_through_its_states(local):
    run_id = local.submit()
    assert local.state(run_id) == "IN_PROGRESS"
    local.clock.advance(90)
    assert local.json("GET", f"/runs/{run_id}")["runDurationInMilliseconds"] == 90_000
    local.engine.finished(run_id, RunOutcome(True, None, 10, 20))
    local.clock.advance(1000)
    run = local.json("GET", f"/runs/{run_id}")
    assert run["lifecycleState"] == "SUCCEEDED"
    assert run["runDurationInMilliseconds"] == 90_000
    assert (run["dataReadInBytes"], run["dataWrittenInBytes"]) == (10, 20)
    assert run["timeCreated"] < run["timeUpdated"]
    assert local.states(run_id) == ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]


def test_failed_run_has_details(local):
    run_id = local.submit()
    local.engine.finished(run_id, RunOutcome(False, "no such month"))
    assert local.json("GET", f"/runs/{run_id}")["lifecycleDetails"] == "no such month"
    assert local.state(run_id) == "FAILED"


def test_runs_start_in_the_order_of_submission(local):
    runs = [local.submit() for _ in range(5)]
    assert [local.state(r) for r in runs] == ["IN_PROGRESS"] * 2 + ["ACCEPTED"] * 3
    local.succeed(runs[1])
    assert [local.state(r) for r in runs] == ["IN_PROGRESS", "SUCCEEDED", "IN_PROGRESS"] + ["ACCEPTED"] * 2
    assert [job.run_id for job in local.engine.started] == runs[:3]


def test_cancel_of_a_queued_run(local):
    local.limit = 2
    runs = [local.submit() for _ in range(4)]
    assert local.call("DELETE", f"/runs/{runs[2]}").status == 204
    assert local.states(runs[2]) == ["ACCEPTED", "CANCELED"]
    assert local.engine.cancelled == []
    local.succeed(runs[0])
    assert local.state(runs[3]) == "IN_PROGRESS"


def test_cancel_of_a_run_in_progress(local):
    run_id, _, waiting = local.submit(), local.submit(), local.submit()
    assert local.call("DELETE", f"/runs/{run_id}").status == 204
    assert local.call("DELETE", f"/runs/{run_id}").status == 204
    assert local.engine.cancelled == [run_id]
    # The run counts as active until its processes are gone.
    assert (local.state(run_id), local.state(waiting)) == ("CANCELING", "ACCEPTED")
    local.engine.finished(run_id, RunOutcome(True))
    assert (local.state(run_id), local.state(waiting)) == ("CANCELED", "IN_PROGRESS")
    assert local.call("DELETE", f"/runs/{run_id}").status == 204


@pytest.mark.parametrize("kind", ["STREAMING", "SESSION"])
def test_cancelled_streaming_run_becomes_stopped(local, kind):
    run_id = local.submit(type=kind)
    local.call("DELETE", f"/runs/{run_id}")
    local.engine.finished(run_id, RunOutcome(False))
    assert local.states(run_id) == ["ACCEPTED", "IN_PROGRESS", "STOPPING", "STOPPED"]


def test_run_is_cancelled_at_its_maximum_duration(local):
    run_id = local.submit(maxDurationInMinutes=2)
    local.clock.advance(119)
    assert local.state(run_id) == "IN_PROGRESS"
    local.clock.advance(2)
    assert local.state(run_id) == "CANCELING"
    assert local.engine.cancelled == [run_id]
    local.engine.finished(run_id, RunOutcome(False, "killed"))
    run = local.json("GET", f"/runs/{run_id}")
    assert run["lifecycleState"] == "CANCELED"
    assert "maximum duration of 2 minutes" in run["lifecycleDetails"]
    # The times are exact, although no request came at these times.
    states = local.json("GET", f"/_local/runs/{run_id}")["states"]
    assert from_rfc3339(states[2]["time"]) - from_rfc3339(states[1]["time"]) == 120


def test_maximum_duration_counts_from_the_start(local):
    first, _, last = local.submit(), local.submit(), local.submit(maxDurationInMinutes=1)
    local.clock.advance(600)
    local.succeed(first)
    assert local.state(last) == "IN_PROGRESS"
    local.clock.advance(59)
    assert local.state(last) == "IN_PROGRESS"
    local.clock.advance(1)
    assert local.state(last) == "CANCELING"


def test_maximum_duration_can_be_changed(local):
    run_id = local.submit(maxDurationInMinutes=1)
    local.json("PUT", f"/runs/{run_id}", {"maxDurationInMinutes": 3})
    local.clock.advance(179)
    assert local.state(run_id) == "IN_PROGRESS"
    local.clock.advance(1)
    assert local.state(run_id) == "CANCELING"


def test_run_starts_after_the_startup_time_of_the_server(tmp_path):
    local = Local(tmp_path, options=Options(verify_signatures=False, startup_seconds=20.0))
    run_id = local.submit()
    local.clock.advance(19)
    assert local.state(run_id) == "ACCEPTED"
    local.clock.advance(1)
    assert local.state(run_id) == "IN_PROGRESS"


def test_restart_ends_or_requeues_every_run(tmp_path):
    store = Store()
    before = Local(tmp_path, store=store)
    running, canceling, waiting = before.submit(), before.submit(), before.submit()
    before.call("DELETE", f"/runs/{canceling}")
    # The server is killed here: it is not closed.
    after = Local(tmp_path, store=store)
    details = after.json("GET", f"/runs/{running}")["lifecycleDetails"]
    assert (after.state(running), details) == ("FAILED", SERVER_STOPPED)
    assert after.state(canceling) == "CANCELED"
    assert after.state(waiting) == "IN_PROGRESS"
    assert [job.run_id for job in after.engine.started] == [waiting]


def test_restart_finds_the_outcome_of_an_ended_run(local):
    run_id = local.submit()
    local.engine.recovered[run_id] = RunOutcome(True, None, 1, 2, ended=local.clock.now() + 5)
    local.clock.advance(3600)
    local.service.lifecycle.recover()
    run = local.json("GET", f"/runs/{run_id}")
    assert (run["lifecycleState"], run["runDurationInMilliseconds"]) == ("SUCCEEDED", 5000)


def test_close_ends_active_runs_and_keeps_queued_ones(tmp_path):
    store = Store()
    before = Local(tmp_path, store=store)
    running, _, waiting = before.submit(), before.submit(), before.submit()
    before.service.lifecycle.close()
    after = Local(tmp_path, store=store)
    assert after.state(running) == "FAILED"
    assert after.state(waiting) == "IN_PROGRESS"


def test_end_that_is_reported_twice_counts_once(local):
    run_id = local.submit()
    local.succeed(run_id)
    local.engine.finished(run_id, RunOutcome(False, "late"))
    assert local.state(run_id) == "SUCCEEDED"


def test_timeline_events_are_ordered_and_exact():
    clock = ManualClock(0)
    timeline = Timeline(clock)
    seen = []
    for moment in (5, 3, 5, 4):
        timeline.plan(moment, lambda m=moment: seen.append((m, timeline.now())))
    timeline.plan(3, lambda: timeline.plan(4, lambda: seen.append(("planned", timeline.now()))))
    clock.advance(4.5)
    timeline.run_due()
    assert seen == [(3, 3), (4, 4), ("planned", 4)]
    assert (timeline.now(), timeline.next_due()) == (4.5, 5)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_cancelled_events_do_not_happen():
    clock = ManualClock(0)
    timeline = Timeline(clock)
    seen = []
    for moment, key in [(1, ("a", "x")), (2, ("a", "y")), (3, ("b", "x")), (4, ("c", "x")), (5, None)]:
        timeline.plan(moment, lambda m=moment: seen.append(m), key)
    timeline.plan(6, lambda: seen.append(6), ("b", "x"))
    timeline.cancel("a")
    timeline.cancel("c", "x")
    timeline.cancel("nobody")
    assert timeline.next_due() == 5
    clock.advance(10)
    timeline.run_due()
    assert seen == [5, 6]


def test_event_can_plan_itself_again():
    clock = ManualClock(0)
    timeline = Timeline(clock)
    seen = []

    def again() -> None:
        seen.append(timeline.now())
        timeline.cancel("a")
        timeline.plan(timeline.now() + 10, again, ("a", "x"))

    timeline.plan(1, again, ("a", "x"))
    clock.advance(25)
    timeline.run_due()
    assert seen == [1, 11, 21]
    assert timeline.next_due() == 31


def test_times_are_formatted_and_parsed():
    assert rfc3339(1_767_225_600.0005) == "2026-01-01T00:00:00.000Z"
    assert from_rfc3339("2026-01-01T01:00:00+01:00") == from_rfc3339("2026-01-01T00:00:00") == 1_767_225_600
