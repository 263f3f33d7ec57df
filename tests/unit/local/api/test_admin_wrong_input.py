"""Wrong input to the ``/_local`` routes: always 400 with the name of the field.

The list of routes comes from the service, so that new ones are included.
"""

from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.local.api.admin import AdminApi
from airflow_provider_dataflow.local.api.admin_input import _PARAMETERS, _WITH_BODY
from airflow_provider_dataflow.local.api.admin_resources import AdminResourcesApi
from airflow_provider_dataflow.local.http.messages import Request, Route
from tests.unit.local.scripted import Scripted

ROUTES: list[Route] = [
    route for api in (AdminApi, AdminResourcesApi) for route in api._routes(api.__new__(api))
]
WITHOUT_BODY = [r for r in ROUTES if r.operation not in _WITH_BODY]
# Values that are wrong for every numeric field, and for every text field.
NO_NUMBER = [True, "", "x", "nan", "1e999", -1, 1e308, 2**70, [], [1], {}, {"a": 1}]
NO_TEXT = [True, 0, 1.5, [], ["x"], {}, {"a": 1}]
NO_PATTERN = ["", " ", *NO_TEXT]
FAULTS = {
    "kind": ["x", "Drop", *NO_PATTERN],
    "operation": ["CreteRun", *NO_PATTERN],
    "resourceId": NO_PATTERN,
    "user": NO_PATTERN,
    "code": NO_PATTERN,
    "message": NO_TEXT,
    "count": [0, 1.5, *NO_NUMBER],
    "after": [1.5, *NO_NUMBER],
    "probability": [2, "50%", *NO_NUMBER],
    "seed": [1.5, *NO_NUMBER],
    "inSeconds": NO_NUMBER,
    "forSeconds": NO_NUMBER,
    "status": [200, 600, *NO_NUMBER],
    "retryAfter": NO_NUMBER,
    "seconds": [3601, *NO_NUMBER],
    "limit": [1.5, *NO_NUMBER],
    "bytes": [1.5, *NO_NUMBER],
    "often": [1],
}
COURSES = {
    "outcome": ["succeeded", "ACCEPTED", *NO_PATTERN],
    "state": ["pausing", *NO_PATTERN],
    "duration": NO_NUMBER,
    "startup": NO_NUMBER,
    "cancelDuration": NO_NUMBER,
    "details": NO_TEXT,
    "bytesRead": [1.5, *NO_NUMBER],
    "bytesWritten": [1.5, *NO_NUMBER],
    "stdout": NO_TEXT,
    "stderr": NO_TEXT,
    "statementOutput": NO_TEXT,
    "outcom": ["FAILED"],
}
RULES = {
    "attempts": [None, [], {}, "x", 1, True, [1], ["x"], [[]]],
    "displayName": NO_PATTERN,
    "applicationId": NO_PATTERN,
    "freeformTags": [True, 1, "x", [], ["x"], {"a": 1}, {"": "x"}, {" ": "x"}],
    "name": ["x"],
}
CONTEXT = {
    "seconds": {"kind": "slow"},
    "limit": {"kind": "limit_exceeded"},
    "bytes": {"kind": "truncated_body"},
}


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Scripted:
    return Scripted(tmp_path_factory.mktemp("admin"), limit=5)


@pytest.fixture(scope="module")
def run_id(local: Scripted) -> str:
    local.json("POST", "/_local/rules", {"attempts": [{"outcome": "IN_PROGRESS"}]})
    return local.submit(freeformTags={"a": "b"})


def refused(local: Scripted, method: str, path: str, body: bytes = b"") -> str:
    response = local.service.handle(Request(method, path, {"host": "127.0.0.1:8170"}, body))
    assert response.status == 400, (path, body[:200], response.status)
    return json.loads(response.content())["message"]


def cases(table):
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), cases(FAULTS))
def test_invalid_faults_are_400(local, name, value):
    body = {"kind": "status", "status": 500} | {name: value}
    if name in CONTEXT:
        body = CONTEXT[name] | {name: value}
    assert name in refused(local, "POST", "/_local/faults", json.dumps(body).encode())
    assert local.json("GET", "/_local/faults") == []


@pytest.mark.parametrize(("name", "value"), cases(COURSES))
def test_invalid_run_scripts_are_400(local, run_id, name, value):
    before = local.json("GET", "/_local/rules")
    for rule in ({"attempts": [{name: value}]}, {"attempts": [{}, {name: value}]}):
        assert name in refused(local, "POST", "/_local/rules", json.dumps(rule).encode())
        assert name in refused(local, "PUT", "/_local/rules", json.dumps([rule]).encode())
    assert name in refused(local, "POST", f"/_local/runs/{run_id}/end", json.dumps({name: value}).encode())
    assert local.json("GET", "/_local/rules") == before


@pytest.mark.parametrize(("name", "value"), cases(RULES))
def test_invalid_rules_are_400(local, name, value):
    body = {"attempts": [{}]} | {name: value}
    assert name in refused(local, "POST", "/_local/rules", json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance": 1, "to_next": True},
        {"advanced": 1},
        {"to_next": False},
        {"to_next": 1},
        {"to_next": None},
    ],
)
def test_clock_takes_either_advance_or_to_next(local, body):
    assert "advance" in refused(local, "POST", "/_local/clock", json.dumps(body).encode())


@pytest.mark.parametrize("value", [None, *NO_NUMBER])
def test_clock_advance_must_be_seconds(local, value):
    now = local.json("GET", "/_local/clock")
    assert "advance" in refused(local, "POST", "/_local/clock", json.dumps({"advance": value}).encode())
    assert local.json("GET", "/_local/clock") == now


@pytest.mark.parametrize("value", [None, "", "x", 1, [], {}, "ocid1.x"])
def test_move_run_needs_a_compartment_id(local, run_id, value):
    body = json.dumps({"compartmentId": value}).encode()
    assert "compartmentId" in refused(local, "PUT", f"/_local/runs/{run_id}", body)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("runs?limit=", "limit"),
        ("runs?limit=0", "limit"),
        ("runs?limit=-1", "limit"),
        ("runs?limit=x", "limit"),
        ("runs?limit=1.5", "limit"),
        (f"runs?limit={2**63 - 1}", "limit"),
        (f"runs?limit={'9' * 5000}", "limit"),
        ("runs?limit=1&limit=2", "more than once"),
        ("runs?state=", "state"),
        ("runs?state=NOPE", "state"),
        ("runs?state=failed", "Did you mean FAILED"),
        ("runs?state=%ff", "state"),
        ("journal?after=", "after"),
        ("journal?after=-1", "after"),
        ("journal?after=x", "after"),
        ("journal?operation=", "operation"),
        ("journal?operation=CreteRun", "Did you mean CreateRun"),
    ],
)
def test_invalid_query_parameters_are_400(local, query, name):
    assert name in refused(local, "GET", f"/_local/{query}")


def path_of(route: Route) -> str:
    return route.path.replace("{run_id}", "ocid1.x").replace("{name}", "x")


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: r.operation)
def test_unknown_query_parameters_are_400(local, route):
    known = _PARAMETERS.get(route.operation, ())
    for name in ["x", "", *(f"{name}s" for name in known)]:
        message = refused(local, route.method, f"{path_of(route)}?{name}=1")
        assert f"{route.operation} has no query parameter {name!r}" in message
        assert all(name in message for name in known)


@pytest.mark.parametrize("route", WITHOUT_BODY, ids=lambda r: r.operation)
def test_unexpected_bodies_are_400(local, route):
    for body in (b"x", b"[]", b'{"a": 1}', b"\xff"):
        assert f"{route.operation} takes no body" in refused(local, route.method, path_of(route), body)


@pytest.mark.parametrize("operation", sorted(_WITH_BODY - {"RegisterToken"}))
def test_bodies_of_a_wrong_json_type_are_400(local, run_id, operation):
    (route,) = [r for r in ROUTES if r.operation == operation]
    wrong = [b"", b"x", b"{", b"[", b"null", b"1", b'"x"', b"\xff", b"[" * 100_000, b'{"a":1}{', b'{"a":NaN}']
    wrong += [b'{"items":[]}', b'[],"x":1'] if operation == "SetRules" else [b"[]"]
    for body in wrong:
        refused(local, route.method, route.path.replace("{run_id}", run_id), body)


def test_tables_of_parameters_and_bodies_name_existing_operations():
    assert set(_PARAMETERS) | _WITH_BODY <= {route.operation for route in ROUTES}
