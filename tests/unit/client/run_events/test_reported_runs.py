from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_dataflow.client.run_events.reported_runs import (
    MAX_OPEN_RUNS,
    OVERLAP_SECONDS,
    SETTLE_SECONDS,
    ReportedRuns,
    event_payload,
)
from airflow_provider_dataflow.models.run import Run


def run(id, state, created=1000.0):
    return Run(id=id, state=state, time_created=datetime.fromtimestamp(created, UTC))


def watcher(*runs, states=("SUCCEEDED",), since=0.0):
    reported = ReportedRuns(states, since)
    reported.add_existing(runs)
    return reported


def restarted(reported, now=1e9):
    return ReportedRuns.from_snapshot(reported.states, json.loads(json.dumps(reported.snapshot(now))))


@pytest.mark.parametrize(
    ("states", "course", "events"),
    [
        (["SUCCEEDED"], ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED", "SUCCEEDED"], [False, False, True, False]),
        (["SUCCEEDED"], ["ACCEPTED", "FAILED", "FAILED"], [False, False, False]),
        (["FAILED", "CANCELED"], ["IN_PROGRESS", "CANCELED"], [False, True]),
        (["IN_PROGRESS"], ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"], [False, True, False]),
        # A run that has succeeded was IN_PROGRESS, even if no poll saw it.
        (["IN_PROGRESS"], ["ACCEPTED", "SUCCEEDED"], [False, True]),
        (["SUCCEEDED"], ["HIBERNATING", "SUCCEEDED"], [False, True]),
    ],
)
def test_run_is_reported_once(states, course, events):
    reported = watcher(states=states)
    assert [reported.update(run("a", state), 0) for state in course] == events


def test_state_reached_before_the_start_is_not_reported():
    reported = watcher(run("a", "SUCCEEDED"), run("b", "IN_PROGRESS"))
    assert not reported.update(run("a", "SUCCEEDED"), 0)
    assert reported.update(run("b", "SUCCEEDED"), 0)


def test_restart_neither_loses_nor_repeats_events():
    reported = watcher(run("open", "IN_PROGRESS"))
    assert reported.update(run("reported", "SUCCEEDED"), 0)
    assert not reported.update(run("failed", "FAILED"), 0)
    reported = restarted(reported)
    assert not reported.update(run("reported", "SUCCEEDED"), 0)
    assert not reported.update(run("failed", "FAILED"), 0)
    assert reported.update(run("open", "SUCCEEDED"), 0)
    assert reported.update(run("new", "SUCCEEDED"), 0)


def test_event_that_may_not_be_stored_is_repeated_after_restart():
    reported = watcher()
    assert reported.update(run("a", "SUCCEEDED"), now=100)
    assert restarted(reported, now=100 + SETTLE_SECONDS / 2).update(run("a", "SUCCEEDED"), 0)
    assert not restarted(reported, now=100 + SETTLE_SECONDS).update(run("a", "SUCCEEDED"), 0)


def test_event_of_an_old_run_that_may_not_be_stored_is_repeated_after_restart():
    reported = watcher(run("old", "IN_PROGRESS", created=10))
    reported.update(run("new", "FAILED", created=10_000), now=50)
    reported.update(run("old", "SUCCEEDED", created=10), now=100)
    assert restarted(reported, now=101).update(run("old", "SUCCEEDED", created=10), 0)
    assert not restarted(reported, now=200).update(run("old", "SUCCEEDED", created=10), 0)


def test_snapshot_of_ten_thousand_runs_fits_into_the_store():
    reported = watcher(run("oldest", "IN_PROGRESS", created=10))
    for number in range(10_000):
        reported.update(run(f"ocid1.dataflowrun.oc1.iad.{number:060}", "SUCCEEDED", created=100 + number), 0)
    saved = reported.snapshot(1e6)
    assert saved["since"] == 100 + 9999 - OVERLAP_SECONDS
    assert list(saved["open"]) == ["oldest"]
    assert len(json.dumps(saved)) < 65_535
    assert not restarted(reported).update(run("any", "SUCCEEDED", created=5000), 0)
    assert restarted(reported).update(run("oldest", "SUCCEEDED", created=10), 0)


def test_too_many_active_runs_are_remembered_by_creation_time():
    reported = watcher(since=50.0)
    for number in range(2 * MAX_OPEN_RUNS):
        reported.update(run(f"open-{number}", "IN_PROGRESS", created=100.0 + number), 0)
    reported.update(run("new", "SUCCEEDED", created=100_000.0), 0)
    saved = reported.snapshot(1e6)
    assert saved["since"] == 50.0
    assert restarted(reported).update(run("open-0", "SUCCEEDED", created=100.0), 0)


def test_has_settled_since():
    reported = watcher()
    reported.update(run("a", "SUCCEEDED"), now=100)
    assert not reported.has_settled_since(99, now=100 + SETTLE_SECONDS - 1)
    assert reported.has_settled_since(99, now=100 + SETTLE_SECONDS)
    assert not reported.has_settled_since(100 + SETTLE_SECONDS, now=200)


@pytest.mark.parametrize(
    "saved", [{}, {"since": "x", "open": {}, "done": []}, {"since": 1, "open": [], "done": []}, None]
)
def test_invalid_snapshot_is_refused(saved):
    with pytest.raises(ValueError, match="expected the saved progress of a watcher"):
        ReportedRuns.from_snapshot(["SUCCEEDED"], saved)


def test_event_payload_is_json():
    payload = event_payload(run("a", "SUCCEEDED"))
    assert json.loads(json.dumps(payload)) == payload
    assert (payload["run_id"], payload["state"]) == ("a", "SUCCEEDED")


def test_event_payload_has_no_details_which_may_quote_secrets():
    details = "bad args [--password, hunter2secret]"
    assert "hunter2secret" not in str(event_payload(Run(id="a", state="FAILED", lifecycle_details=details)))
