from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_dataflow.client.poller.reported_runs import (
    MOST_OPEN,
    OVERLAP,
    SETTLE,
    Progress,
    payload,
)
from airflow_provider_dataflow.models.run import Run


def run(id, state, created=1000.0):
    return Run(id=id, state=state, time_created=datetime.fromtimestamp(created, UTC))


def watcher(*runs, states=("SUCCEEDED",), since=0.0):
    progress = Progress(states, since)
    progress.begin(runs)
    return progress


def again(progress, now=1e9):
    return Progress.of(progress.states, json.loads(json.dumps(progress.snapshot(now))))


@pytest.mark.parametrize(
    ("states", "course", "told"),
    [
        (["SUCCEEDED"], ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED", "SUCCEEDED"], [False, False, True, False]),
        (["SUCCEEDED"], ["ACCEPTED", "FAILED", "FAILED"], [False, False, False]),
        (["FAILED", "CANCELED"], ["IN_PROGRESS", "CANCELED"], [False, True]),
        (["IN_PROGRESS"], ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"], [False, True, False]),
        # It has been in progress, even if nobody looked at the time.
        (["IN_PROGRESS"], ["ACCEPTED", "SUCCEEDED"], [False, True]),
        (["SUCCEEDED"], ["HIBERNATING", "SUCCEEDED"], [False, True]),
    ],
)
def test_a_run_is_told_of_once(states, course, told):
    progress = watcher(states=states)
    assert [progress.tell(run("a", state), 0) for state in course] == told


def test_what_had_been_reached_before_the_watch_began_is_not_told_of():
    progress = watcher(run("a", "SUCCEEDED"), run("b", "IN_PROGRESS"))
    assert not progress.tell(run("a", "SUCCEEDED"), 0)
    assert progress.tell(run("b", "SUCCEEDED"), 0)


def test_nothing_is_forgotten_or_told_again_after_a_restart():
    progress = watcher(run("open", "IN_PROGRESS"))
    assert progress.tell(run("told", "SUCCEEDED"), 0)
    assert not progress.tell(run("failed", "FAILED"), 0)
    progress = again(progress)
    assert not progress.tell(run("told", "SUCCEEDED"), 0)
    assert not progress.tell(run("failed", "FAILED"), 0)
    assert progress.tell(run("open", "SUCCEEDED"), 0)
    assert progress.tell(run("new", "SUCCEEDED"), 0)


def test_an_event_that_may_not_be_stored_yet_is_told_again():
    progress = watcher()
    assert progress.tell(run("a", "SUCCEEDED"), now=100)
    assert again(progress, now=100 + SETTLE / 2).tell(run("a", "SUCCEEDED"), 0)
    assert not again(progress, now=100 + SETTLE).tell(run("a", "SUCCEEDED"), 0)


def test_also_if_it_is_of_an_old_run():
    progress = watcher(run("old", "IN_PROGRESS", created=10))
    progress.tell(run("new", "FAILED", created=10_000), now=50)
    progress.tell(run("old", "SUCCEEDED", created=10), now=100)
    assert again(progress, now=101).tell(run("old", "SUCCEEDED", created=10), 0)
    assert not again(progress, now=200).tell(run("old", "SUCCEEDED", created=10), 0)


def test_it_remembers_little():
    progress = watcher(run("ancient", "IN_PROGRESS", created=10))
    for number in range(10_000):
        progress.tell(run(f"ocid1.dataflowrun.oc1.iad.{number:060}", "SUCCEEDED", created=100 + number), 0)
    saved = progress.snapshot(1e6)
    assert saved["since"] == 100 + 9999 - OVERLAP
    assert list(saved["open"]) == ["ancient"]
    assert len(json.dumps(saved)) < 65_535
    assert not again(progress).tell(run("any", "SUCCEEDED", created=5000), 0)
    assert again(progress).tell(run("ancient", "SUCCEEDED", created=10), 0)


def test_many_that_are_under_way_hold_back_the_time_rather_than_be_lost():
    progress = watcher(since=50.0)
    for number in range(2 * MOST_OPEN):
        progress.tell(run(f"open-{number}", "IN_PROGRESS", created=100.0 + number), 0)
    progress.tell(run("new", "SUCCEEDED", created=100_000.0), 0)
    saved = progress.snapshot(1e6)
    assert saved["since"] == 50.0
    assert again(progress).tell(run("open-0", "SUCCEEDED", created=100.0), 0)


def test_is_settled_since():
    progress = watcher()
    progress.tell(run("a", "SUCCEEDED"), now=100)
    assert not progress.is_settled_since(99, now=100 + SETTLE - 1)
    assert progress.is_settled_since(99, now=100 + SETTLE)
    assert not progress.is_settled_since(100 + SETTLE, now=200)


@pytest.mark.parametrize(
    "saved", [{}, {"since": "x", "open": {}, "done": []}, {"since": 1, "open": [], "done": []}, None]
)
def test_what_is_no_progress(saved):
    with pytest.raises(ValueError, match="no progress"):
        Progress.of(["SUCCEEDED"], saved)


def test_the_payload_is_json():
    told = payload(run("a", "SUCCEEDED"))
    assert json.loads(json.dumps(told)) == told
    assert (told["run_id"], told["state"]) == ("a", "SUCCEEDED")
