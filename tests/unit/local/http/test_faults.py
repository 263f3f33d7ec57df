from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest

from airflow_provider_dataflow.local.http.faults import Fault, FaultKind
from airflow_provider_dataflow.local.http.messages import ResponseFault, Router
from airflow_provider_dataflow.local.http.operations import DATA_FLOW_OPERATIONS, OBJECT_STORAGE_OPERATIONS
from tests.unit.local.support import COMPARTMENT, Local


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "InvalidParameter"),
        (401, "NotAuthenticated"),
        (403, "NotAuthorized"),
        (404, "NotAuthorizedOrNotFound"),
        (409, "IncorrectState"),
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (599, "InternalServerError"),
    ],
)
def test_status_has_the_code_of_the_service(status, code):
    error = Fault(kind="status", status=status).error()
    assert (error.status, error.code, bool(error.message)) == (status, code, True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "kind must be given"),
        ({"kind": "x"}, "kind must be one of lost_response"),
        ({"kind": "status"}, "status needs status"),
        ({"kind": "slow"}, "slow needs seconds"),
        ({"kind": "drop", "seconds": 1}, "drop has no seconds"),
        ({"kind": "slow", "seconds": 1, "status": 500}, "slow has no status"),
        ({"kind": "slow", "seconds": 1e6}, "seconds must be at most"),
        ({"kind": "slow", "seconds": -1}, "seconds must be"),
        ({"kind": "late", "seconds": 1e6}, "seconds must be at most"),
        ({"kind": "vanish"}, "vanish needs resourceId"),
        ({"kind": "drop", "in_seconds": -1}, "inSeconds must be"),
        ({"kind": "status", "status": 200}, "status must be"),
        ({"kind": "drop", "count": 0}, "count must be"),
        ({"kind": "drop", "count": 1.5}, "count must be"),
        ({"kind": "drop", "after": -1}, "after must be"),
        ({"kind": "drop", "probability": 2}, "probability must be"),
        ({"kind": "drop", "probability": "x"}, "probability must be"),
        ({"kind": "drop", "operation": 1}, "operation must be"),
        ({"kind": "drop", "often": 1}, "no field 'often'"),
    ],
)
def test_wrong_fields_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Fault.from_json(values)


@pytest.mark.parametrize("kind", FaultKind)
def test_fault_survives_its_json_form(kind):
    required = {"status": 429, "seconds": 1, "limit": 1, "resource_id": "ocid1.x"}
    needs = {"status": ["status"], "limit_exceeded": ["limit"], "vanish": ["resource_id"]}
    for name in ("not_found_after_create", "late", "slow", "slow_body", "clock_skew"):
        needs[name] = ["seconds"]
    fault = Fault.of(kind, operation="Get*", for_seconds=5, **{n: required[n] for n in needs.get(kind, [])})
    assert Fault.from_json(json.loads(json.dumps(fault.as_json()))) == fault


# --- With the service ---------------------------------------------------------------------------------------


def fault(local, **fields) -> str:
    return local.json("POST", "/_local/faults", fields)["id"]


def notes(local) -> list[str | None]:
    entries = local.json("GET", "/_local/journal")["entries"]
    return [(e["notes"].get("fault") or {}).get("kind") for e in entries]


def body(local) -> dict:
    return {"compartmentId": COMPARTMENT, "applicationId": local.application()}


def test_status_fault_returns_an_error_and_is_counted(local):
    run_id = local.submit()
    id_ = fault(local, kind="status", status=429, retryAfter=3, operation="GetRun", count=1)
    response = local.call("GET", f"/runs/{run_id}")
    assert (response.status, response.headers["retry-after"]) == (429, "3")
    assert json.loads(response.content())["code"] == "TooManyRequests"
    assert local.call("GET", f"/runs/{run_id}").status == 200
    assert notes(local)[-2:] == ["status", None]
    listed = local.json("GET", "/_local/faults")
    assert [(f["id"], f["applied"], f["over"], f["retryAfter"]) for f in listed] == [(id_, 1, True, 3)]
    assert local.call("DELETE", f"/_local/faults?id={id_}").status == 204
    assert local.error("DELETE", f"/_local/faults?id={id_}")[0] == 404


def test_lost_response_creates_a_run_that_a_replay_finds(local):
    details = body(local)
    fault(local, kind="lost_response", operation="CreateRun", count=1)
    fault(local, kind="replay_conflict", count=1)
    lost = local.call("POST", "/runs", details, opc_retry_token="t")
    assert lost.fault == ResponseFault(drop=True)
    assert local.error("POST", "/runs", details, opc_retry_token="t")[:2] == (409, "InvalidatedRetryToken")
    run = local.json("POST", "/runs", details, opc_retry_token="t")
    assert run["id"] == json.loads(lost.content())["id"]
    assert local.json("POST", "/runs", details, opc_retry_token="u")["id"] != run["id"]
    assert notes(local)[-4:] == ["lost_response", "replay_conflict", None, None]


def test_dropped_request_is_not_carried_out(local):
    details = body(local)
    fault(local, kind="drop", operation="CreateRun", count=1)
    assert local.call("POST", "/runs", details).fault == ResponseFault(drop=True)
    assert local.json("GET", f"/runs?compartmentId={COMPARTMENT}") == []
    entry = local.json("GET", "/_local/journal")["entries"][-2]
    assert (entry["status"], entry["resource_id"]) == (0, None)


def test_new_resource_is_not_found_for_a_while(local):
    old = local.submit()
    local.clock.advance(60)
    fault(local, kind="not_found_after_create", seconds=5, operation="*Run")
    new = local.submit()
    assert local.call("GET", f"/runs/{old}").status == 200
    assert local.error("GET", f"/runs/{new}")[:2] == (404, "NotAuthorizedOrNotFound")
    local.clock.advance(5)
    assert local.call("GET", f"/runs/{new}").status == 200


def test_limit_exceeded_until_a_run_ends(local):
    details = body(local)
    fault(local, kind="limit_exceeded", limit=2)
    runs = [local.submit(details["applicationId"]) for _ in range(2)]
    assert local.error("POST", "/runs", details)[:2] == (400, "LimitExceeded")
    local.succeed(runs[0])
    assert local.call("POST", "/runs", details).status == 200


def test_clock_skew_rejects_the_date_of_the_clients_clock(local):
    run_id = local.submit()
    fault(local, kind="clock_skew", seconds=900)
    assert local.error("GET", f"/runs/{run_id}", date=formatdate(usegmt=True))[:2] == (
        401,
        "NotAuthenticated",
    )
    # A client that uses the service's clock is accepted.
    assert local.call("GET", f"/runs/{run_id}", date=formatdate(time.time() + 900, usegmt=True)).status == 200


def test_error_response_can_be_slow(local):
    fault(local, kind="slow", seconds=2)
    response = local.call("GET", "/runs/x")
    assert (response.status, response.fault) == (404, ResponseFault(delay_seconds=2.0))


def test_vanished_run_is_not_found_and_not_listed(local):
    gone, there = local.submit(), local.submit()
    id_ = fault(local, kind="vanish", resourceId=gone)
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/logs"), ("GET", "/statements")]:
        assert local.error(method, f"/runs/{gone}{path}")[:2] == (404, "NotAuthorizedOrNotFound")
    assert [run["id"] for run in local.json("GET", f"/runs?compartmentId={COMPARTMENT}")] == [there]
    assert local.json("GET", f"/runs/{there}")["id"] == there
    # It still runs.
    assert local.json("GET", f"/_local/runs/{gone}")["lifecycleState"] == "IN_PROGRESS"
    local.call("DELETE", f"/_local/faults?id={id_}")
    assert local.state(gone) == "IN_PROGRESS"


def test_vanish_is_limited_by_time_and_operation_and_user(local):
    gone = local.submit()
    fault(local, kind="vanish", resourceId=gone, inSeconds=10, forSeconds=10, operation="List*")
    fault(local, kind="vanish", resourceId="ocid1.another", user="nobody")

    def listed() -> int:
        return len(local.json("GET", f"/runs?compartmentId={COMPARTMENT}"))

    counts = []
    for _ in range(3):
        counts.append(listed())
        assert local.state(gone) == "IN_PROGRESS"
        local.clock.advance(10)
    assert counts == [1, 0, 1]


def test_vanished_pool_is_not_listed(local):
    details = {
        "compartmentId": COMPARTMENT,
        "displayName": "p",
        "configurations": [{"shape": "VM.Standard2.1"}],
    }
    pool = local.json("POST", "/pools", details)["id"]
    fault(local, kind="vanish", resourceId=pool)
    assert local.json("GET", f"/pools?compartmentId={COMPARTMENT}") == {"items": []}


@pytest.mark.parametrize("is_connected", [True, False])
def test_late_request_is_carried_out_only_if_the_client_stays_connected(local, is_connected):
    run_id = local.submit()
    fault(local, kind="late", seconds=20, operation="DeleteRun", count=1)
    before = local.json("GET", "/_local/journal")["entries"]
    response = local.call("DELETE", f"/runs/{run_id}")
    assert response.fault is not None
    assert response.fault.delay_seconds == 20
    assert local.state(run_id) == "IN_PROGRESS"
    assert local.json("GET", "/_local/journal")["counts"].get("DeleteRun") is None
    late_response = response.fault.handle_late(is_connected)
    assert late_response.headers["opc-request-id"]
    entry = next(
        e for e in local.json("GET", "/_local/journal")["entries"][len(before) :] if e["status"] != 200
    )
    assert (entry["operation"], entry["resource_id"]) == ("DeleteRun", run_id)
    assert entry["notes"]["fault"]["kind"] == "late"
    assert (entry["status"], local.state(run_id)) == (
        (204, "CANCELING") if is_connected else (0, "IN_PROGRESS")
    )


def test_late_error_is_an_error_response(local):
    fault(local, kind="late", seconds=1)
    response = local.call("GET", "/runs/x").fault.handle_late(True)
    assert (response.status, json.loads(response.body)["code"]) == (404, "NotAuthorizedOrNotFound")
    assert local.json("GET", "/_local/journal")["entries"][-1]["code"] == "NotAuthorizedOrNotFound"


def test_run_names_the_requests_that_created_and_cancelled_it(local):
    application = local.application()
    body = {"compartmentId": COMPARTMENT, "applicationId": application}
    run_id = local.json("POST", "/runs", body, opc_retry_token="t", user_agent="worker/1")["id"]
    local.json("POST", "/runs", body, opc_retry_token="t", user_agent="worker/2")
    local.service.lifecycle.settle()
    other = local.submit(application, maxDurationInMinutes=1)
    for name in ("first", "second"):
        assert local.call("DELETE", f"/runs/{run_id}", user_agent=name, opc_request_id=name).status == 204
    local.clock.advance(60)
    run, limited = (local.json("GET", f"/_local/runs/{id_}") for id_ in (run_id, other))
    created, cancelled = run["createdBy"], run["cancelledBy"]
    assert (created["userAgent"], created["retryToken"]) == ("worker/1", "t")
    assert (cancelled["userAgent"], cancelled["requestId"].partition("/")[0]) == ("first", "first")
    assert cancelled["time"] == run["states"][-1]["time"]
    assert limited["lifecycleState"] == "CANCELING"
    assert limited["cancelledBy"] is None
    entries = local.json("GET", "/_local/journal?operation=DeleteRun")["entries"]
    assert [e["notes"].get("cancelled") for e in entries] == [True, None]
    entries = local.json("GET", "/_local/journal?operation=CreateRun")["entries"]
    assert [e["notes"].get("replayed") for e in entries] == [None, True, None]
    # The API itself does not return them.
    assert not {"createdBy", "cancelledBy"} & set(local.json("GET", f"/runs/{run_id}"))


def test_cancelling_request_is_kept_over_a_restart(local):
    run_id = local.submit()
    local.call("DELETE", f"/runs/{run_id}", user_agent="worker/1")
    after = Local(local.folder, store=local.store)
    assert after.json("GET", "/_local/journal")["entries"] == []
    assert after.json("GET", f"/_local/runs/{run_id}")["cancelledBy"]["userAgent"] == "worker/1"


def test_run_in_progress_moves_to_another_compartment(local):
    run_id = local.submit()
    moved = local.json("PUT", f"/_local/runs/{run_id}", {"compartmentId": "ocid1.compartment.oc1..bbbb"})
    assert moved["compartmentId"] == "ocid1.compartment.oc1..bbbb"
    assert local.json("GET", f"/runs?compartmentId={COMPARTMENT}") == []
    assert len(local.json("GET", "/runs?compartmentId=ocid1.compartment.oc1..bbbb")) == 1
    local.succeed(run_id)
    assert local.state(run_id) == "SUCCEEDED"
    assert local.error("PUT", "/_local/runs/x", {"compartmentId": "y"})[0] == 404
    assert local.error("PUT", f"/_local/runs/{run_id}", {})[0] == 400


def test_local_routes_have_no_faults(local):
    fault(local, kind="drop")
    assert local.call("GET", "/_local/health").status == 200
    assert local.error("POST", "/_local/faults", {"kind": "x"})[:2] == (400, "InvalidParameter")


def test_operations_are_those_of_the_service(local):
    def operations(router: Router) -> list[str]:
        return sorted(route.operation for group in router._routes.values() for _, route in group)

    assert operations(local.service._api) == sorted(DATA_FLOW_OPERATIONS)
    assert operations(local.service._object_storage.router) == sorted(OBJECT_STORAGE_OPERATIONS)


@pytest.mark.parametrize("operation", ["*", "*Run", "Get*", "CreateRun", "[CD]*Run"])
def test_pattern_that_matches_an_operation_is_accepted(operation):
    Fault(kind="drop", operation=operation).check_operation()


@pytest.mark.parametrize(
    ("operation", "suggestion"), [("CreteRun", "CreateRun"), ("getrun", "GetRun"), ("*Rum", "")]
)
def test_pattern_that_matches_no_operation_is_refused(local, operation, suggestion):
    with pytest.raises(ValueError, match="matches no operation") as error:
        Fault(kind="drop", operation=operation).check_operation()
    assert suggestion in str(error.value)
    assert error.value.field == "operation"
    status, _, message = local.error("POST", "/_local/faults", {"kind": "drop", "operation": operation})
    assert (status, message.startswith("operation matches no operation")) == (400, True)
    assert suggestion in message
