"""Routes of the clock. For the events that it triggers, see test_lifecycle and test_scripted."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.engines.rules import PREFIX
from airflow_provider_dataflow.local.state.clock import SystemClock
from tests.unit.local.scripted import Scripted


@pytest.fixture
def local(tmp_path) -> Scripted:
    return Scripted(tmp_path, limit=10)


def test_manual_clock_stands_still_until_moved(local):
    before = local.json("GET", "/_local/clock")
    assert before == local.json("GET", "/_local/clock")
    assert before == {
        "epoch": 1_767_225_600.0,
        "time": "2026-01-01T00:00:00.000Z",
        "manual": True,
        "nextDue": None,
    }
    assert local.json("POST", "/_local/clock", {"advance": 1.5})["time"] == "2026-01-01T00:00:01.500Z"


def test_to_next_moves_to_the_next_event(local):
    run_id = local.submit_script(startup=60, duration=30)
    assert local.json("GET", "/_local/clock")["nextDue"] == "2026-01-01T00:01:00.000Z"
    after = local.json("POST", "/_local/clock", {"to_next": True})
    assert (after["time"], after["nextDue"]) == ("2026-01-01T00:01:00.000Z", "2026-01-01T00:01:30.000Z")
    assert local.state(run_id) == "IN_PROGRESS"
    local.json("POST", "/_local/clock", {"toNext": True})
    assert local.state(run_id) == "SUCCEEDED"
    # No event is left.
    assert local.json("POST", "/_local/clock", {"to_next": True})["time"] == "2026-01-01T00:01:30.000Z"


def to_next(local: Scripted) -> float:
    """Move to the next event and return the seconds until then."""
    before = local.clock.now()
    return local.json("POST", "/_local/clock", {"to_next": True})["epoch"] - before


def test_next_event_is_never_a_cancelled_one(local):
    application = local.application(maxDurationInMinutes=1, configuration={f"{PREFIX}cancelDuration": "15"})
    ended = local.submit_script(application, duration=10)
    cancelled = local.submit_script(application, duration=20)
    early = local.submit_script(application, startup=30)
    limited = local.submit_script(application, duration=7200, outcome="IN_PROGRESS")
    local.call("DELETE", f"/runs/{early}")
    local.call("DELETE", f"/runs/{cancelled}")
    local.json("PUT", f"/runs/{limited}", {"maxDurationInMinutes": 2})
    assert to_next(local) == 10
    assert local.state(ended) == "SUCCEEDED"
    assert to_next(local) == 5
    assert local.state(cancelled) == "CANCELED"
    assert to_next(local) == 120 - 15
    assert local.state(limited) == "CANCELING"
    assert to_next(local) == 15
    assert local.json("GET", "/_local/clock")["nextDue"] is None


def test_reset_cancels_all_events(local):
    local.submit_script(duration=10)
    local.call("POST", "/_local/reset").content()
    assert to_next(local) == 0


def test_queue_timeout_is_cancelled_at_the_start(local):
    run_id = local.submit(
        configuration={"spark.dataflow.acquireQuotaTimeout": "1m", f"{PREFIX}duration": "3600"}
    )
    assert to_next(local) == 3600
    assert local.state(run_id) == "SUCCEEDED"


def test_queue_timeout_fails_the_run(local):
    run_id = local.submit(
        configuration={"spark.dataflow.acquireQuotaTimeout": "1m", f"{PREFIX}startup": "90"}
    )
    assert to_next(local) == 60
    assert local.states(run_id) == ["ACCEPTED", "FAILED"]
    assert to_next(local) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance": -1},
        {"advance": "x"},
        {"advance": 1e12},
        {"to_next": False},
        {"advance": 1, "to_next": True},
    ],
)
def test_wrong_moves_of_the_clock_are_400(local, body):
    assert local.error("POST", "/_local/clock", body)[0] == 400


def test_clock_stops_before_times_cannot_be_formatted(local):
    statuses = {local.call("POST", "/_local/clock", {"advance": 3e8}).status for _ in range(700)}
    assert statuses == {200, 400}
    assert local.json("GET", "/_local/clock")["time"] < "9000"


def test_system_clock_cannot_be_moved(local):
    local.service.lifecycle.clock = SystemClock()
    assert local.error("POST", "/_local/clock", {"advance": 1})[:2] == (409, "IncorrectState")
    assert local.json("GET", "/_local/clock")["manual"] is False


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "clock"), ("PUT", "rules"), ("POST", "faults"), ("DELETE", "faults"), ("POST", "reset")],
)
def test_cross_site_requests_cannot_change_anything(local, method, path):
    headers = {"origin": "http://evil.example"}
    assert local.error(method, f"/_local/{path}", {}, **headers)[:2] == (403, "NotAllowed")
