"""The clock's routes; what it does is with what lies in the future, in test_lifecycle and test_scripted."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.engines.rules import PREFIX
from airflow_provider_dataflow.local.state.clock import SystemClock
from tests.unit.local.scripted import Scripted


@pytest.fixture
def local(tmp_path) -> Scripted:
    return Scripted(tmp_path, limit=10)


def test_it_stands_still_until_it_is_moved(local):
    before = local.json("GET", "/_local/clock")
    assert before == local.json("GET", "/_local/clock")
    assert before == {
        "epoch": 1_767_225_600.0,
        "time": "2026-01-01T00:00:00.000Z",
        "manual": True,
        "nextDue": None,
    }
    assert local.json("POST", "/_local/clock", {"advance": 1.5})["time"] == "2026-01-01T00:00:01.500Z"


def test_to_what_is_next(local):
    run_id = local.course(startup=60, duration=30)
    assert local.json("GET", "/_local/clock")["nextDue"] == "2026-01-01T00:01:00.000Z"
    after = local.json("POST", "/_local/clock", {"to_next": True})
    assert (after["time"], after["nextDue"]) == ("2026-01-01T00:01:00.000Z", "2026-01-01T00:01:30.000Z")
    assert local.state(run_id) == "IN_PROGRESS"
    local.json("POST", "/_local/clock", {"toNext": True})
    assert local.state(run_id) == "SUCCEEDED"
    # Nothing is left to happen.
    assert local.json("POST", "/_local/clock", {"to_next": True})["time"] == "2026-01-01T00:01:30.000Z"


def to_next(local: Scripted) -> float:
    """How far it is to what is next."""
    before = local.clock.now()
    return local.json("POST", "/_local/clock", {"to_next": True})["epoch"] - before


def test_what_a_run_no_longer_comes_to_is_not_next(local):
    application = local.application(maxDurationInMinutes=1, configuration={f"{PREFIX}cancelDuration": "15"})
    ended = local.course(application, duration=10)
    cancelled = local.course(application, duration=20)
    early = local.course(application, startup=30)
    limited = local.course(application, duration=7200, outcome="IN_PROGRESS")
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


def test_a_reset_leaves_nothing_to_come(local):
    local.course(duration=10)
    local.call("POST", "/_local/reset").content()
    assert to_next(local) == 0


def test_a_run_that_starts_no_longer_waits_for_resources(local):
    run_id = local.submit(
        configuration={"spark.dataflow.acquireQuotaTimeout": "1m", f"{PREFIX}duration": "3600"}
    )
    assert to_next(local) == 3600
    assert local.state(run_id) == "SUCCEEDED"


def test_resources_that_come_too_late(local):
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
def test_wrong_moves(local, body):
    assert local.error("POST", "/_local/clock", body)[0] == 400


def test_it_stops_before_times_have_no_name(local):
    statuses = {local.call("POST", "/_local/clock", {"advance": 3e8}).status for _ in range(700)}
    assert statuses == {200, 400}
    assert local.json("GET", "/_local/clock")["time"] < "9000"


def test_the_systems_clock_is_not_moved(local):
    local.service.lifecycle.clock = SystemClock()
    assert local.error("POST", "/_local/clock", {"advance": 1})[:2] == (409, "IncorrectState")
    assert local.json("GET", "/_local/clock")["manual"] is False


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "clock"), ("PUT", "rules"), ("POST", "faults"), ("DELETE", "faults"), ("POST", "reset")],
)
def test_other_sites_pages_change_nothing(local, method, path):
    headers = {"origin": "http://evil.example"}
    assert local.error(method, f"/_local/{path}", {}, **headers)[:2] == (403, "NotAllowed")
