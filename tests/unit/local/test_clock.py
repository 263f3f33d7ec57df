"""The clock's routes; what it does is with what lies in the future, in test_lifecycle and test_scripted."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.clock import SystemClock
from tests.unit.local.scripted import Scripted


@pytest.fixture
def local(tmp_path) -> Scripted:
    return Scripted(tmp_path)


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
