from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.http.active_faults import ActiveFaults, RequestFacts
from airflow_provider_dataflow.local.http.faults import Fault


def picked(fault: Fault, *requests: RequestFacts) -> list[bool]:
    faults = ActiveFaults()
    faults.add(fault, 0.0)
    return [faults.pick(request) is not None for request in requests]


GET = RequestFacts("GetRun", "r1", "u1")
STATUS = {"kind": "status", "status": 500}


@pytest.mark.parametrize(
    ("fields", "requests", "expected"),
    [
        ({}, [GET, GET], [True, True]),
        ({"count": 2}, [GET] * 3, [True, True, False]),
        ({"after": 2, "count": 1}, [GET] * 4, [False, False, True, False]),
        (
            {"operation": "*Run"},
            [GET, RequestFacts("CreateRun"), RequestFacts("ListRuns")],
            [True, True, False],
        ),
        ({"operation": "getrun"}, [GET], [False]),
        (
            {"resource_id": "r1"},
            [GET, RequestFacts("GetRun", "r2"), RequestFacts("ListRuns")],
            [True, False, False],
        ),
        (
            {"user": "u*"},
            [GET, RequestFacts("GetRun", "r1", "x"), RequestFacts("GetRun", "r1", None)],
            [True, False, False],
        ),
        (
            {"for_seconds": 10},
            [RequestFacts("GetRun", now=n) for n in (0, 9.9, 10, 11)],
            [True, True, False, False],
        ),
        (
            {"in_seconds": 5, "for_seconds": 10},
            [RequestFacts("GetRun", now=n) for n in (0, 4.9, 5, 14.9, 15)],
            [False, False, True, True, False],
        ),
        # Requests that do not match are not counted.
        (
            {"operation": "GetRun", "after": 1, "count": 1},
            [RequestFacts("X"), GET, GET, RequestFacts("X"), GET],
            [0, 0, 1, 0, 0],
        ),
        ({"probability": 0}, [GET] * 5, [False] * 5),
        ({"probability": 1}, [GET] * 5, [True] * 5),
    ],
)
def test_fault_applies_to_matching_requests(fields, requests, expected):
    assert picked(Fault.of(**STATUS, **fields), *requests) == expected


def test_probability_is_repeatable_with_the_same_seed():
    first, again = (picked(Fault.of(**STATUS, probability=0.3, seed=7), *[GET] * 1000) for _ in range(2))
    assert first == again != picked(Fault.of(**STATUS, probability=0.3, seed=8), *[GET] * 1000)
    assert 200 < sum(first) < 400


@pytest.mark.parametrize(
    ("fault", "facts", "expected"),
    [
        (
            Fault(kind="not_found_after_create", seconds=5),
            RequestFacts("GetRun", "r", now=4, created=lambda: 0.0),
            True,
        ),
        (
            Fault(kind="not_found_after_create", seconds=5),
            RequestFacts("GetRun", "r", now=5, created=lambda: 0.0),
            False,
        ),
        (Fault(kind="not_found_after_create", seconds=5), RequestFacts("GetRun", "r", now=5), False),
        (Fault(kind="limit_exceeded", limit=2), RequestFacts("CreateRun", live_runs=lambda: 2), True),
        (Fault(kind="limit_exceeded", limit=2), RequestFacts("CreateRun", live_runs=lambda: 1), False),
        (Fault(kind="limit_exceeded", limit=2), RequestFacts("GetRun", live_runs=lambda: 9), False),
        (Fault(kind="replay_conflict"), RequestFacts("CreateRun"), False),
        (Fault(kind="replay_conflict"), RequestFacts("CreateRun", replayed=True), True),
        (Fault(kind="drop"), RequestFacts("CreateRun", replayed=True), False),
        (Fault(kind="clock_skew", seconds=600), RequestFacts("GetRun"), True),
        (Fault(kind="clock_skew", seconds=-600), RequestFacts("GetRun"), True),
        (Fault(kind="clock_skew", seconds=100), RequestFacts("GetRun"), False),
    ],
)
def test_fault_applies_under_the_condition_of_its_kind(fault, facts, expected):
    assert picked(fault, facts) == [expected]


def test_first_applicable_fault_is_picked():
    faults = ActiveFaults()
    first = faults.add(Fault(kind="status", status=429, count=1), 0)
    second = faults.add(Fault(kind="drop"), 0)
    assert [faults.pick(GET), faults.pick(GET)] == [first, second]
    assert [f["applied"] for f in faults.as_json(0)] == [1, 1]
    assert [f["over"] for f in faults.as_json(0)] == [True, False]
