from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate

import pytest

from airflow_provider_dataflow.local.http.asgi import CLOSE, application
from airflow_provider_dataflow.local.http.faults import Call, Fault, Faults, Kind
from airflow_provider_dataflow.local.http.messages import Delivery, Request, Response
from airflow_provider_dataflow.local.http.operations import OPERATIONS
from tests.unit.local.support import COMPARTMENT, Local


def picked(fault: Fault, *calls: Call) -> list[bool]:
    faults = Faults()
    faults.add(fault, 0.0)
    return [faults.pick(call) is not None for call in calls]


GET = Call("GetRun", "r1", "u1")
STATUS = {"kind": "status", "status": 500}


@pytest.mark.parametrize(
    ("fields", "calls", "expected"),
    [
        ({}, [GET, GET], [True, True]),
        ({"count": 2}, [GET] * 3, [True, True, False]),
        ({"after": 2, "count": 1}, [GET] * 4, [False, False, True, False]),
        ({"operation": "*Run"}, [GET, Call("CreateRun"), Call("ListRuns")], [True, True, False]),
        ({"operation": "getrun"}, [GET], [False]),
        ({"resource_id": "r1"}, [GET, Call("GetRun", "r2"), Call("ListRuns")], [True, False, False]),
        ({"user": "u*"}, [GET, Call("GetRun", "r1", "x"), Call("GetRun", "r1", None)], [True, False, False]),
        ({"for_seconds": 10}, [Call("GetRun", now=n) for n in (0, 9.9, 10, 11)], [True, True, False, False]),
        (
            {"in_seconds": 5, "for_seconds": 10},
            [Call("GetRun", now=n) for n in (0, 4.9, 5, 14.9, 15)],
            [False, False, True, True, False],
        ),
        # Others neither count nor are spared.
        (
            {"operation": "GetRun", "after": 1, "count": 1},
            [Call("X"), GET, GET, Call("X"), GET],
            [0, 0, 1, 0, 0],
        ),
        ({"probability": 0}, [GET] * 5, [False] * 5),
        ({"probability": 1}, [GET] * 5, [True] * 5),
    ],
)
def test_which_requests(fields, calls, expected):
    assert picked(Fault.of(**STATUS, **fields), *calls) == expected


def test_probability_is_repeatable():
    first, again = (picked(Fault.of(**STATUS, probability=0.3, seed=7), *[GET] * 1000) for _ in range(2))
    assert first == again != picked(Fault.of(**STATUS, probability=0.3, seed=8), *[GET] * 1000)
    assert 200 < sum(first) < 400


@pytest.mark.parametrize(
    ("fault", "call", "expected"),
    [
        (
            Fault(kind="not_found_after_create", seconds=5),
            Call("GetRun", "r", now=4, created=lambda: 0.0),
            True,
        ),
        (
            Fault(kind="not_found_after_create", seconds=5),
            Call("GetRun", "r", now=5, created=lambda: 0.0),
            False,
        ),
        (Fault(kind="not_found_after_create", seconds=5), Call("GetRun", "r", now=5), False),
        (Fault(kind="limit_exceeded", limit=2), Call("CreateRun", live_runs=lambda: 2), True),
        (Fault(kind="limit_exceeded", limit=2), Call("CreateRun", live_runs=lambda: 1), False),
        (Fault(kind="limit_exceeded", limit=2), Call("GetRun", live_runs=lambda: 9), False),
        (Fault(kind="replay_conflict"), Call("CreateRun"), False),
        (Fault(kind="replay_conflict"), Call("CreateRun", replayed=True), True),
        (Fault(kind="drop"), Call("CreateRun", replayed=True), False),
        (Fault(kind="clock_skew", seconds=600), Call("GetRun"), True),
        (Fault(kind="clock_skew", seconds=-600), Call("GetRun"), True),
        (Fault(kind="clock_skew", seconds=100), Call("GetRun"), False),
    ],
)
def test_under_which_conditions(fault, call, expected):
    assert picked(fault, call) == [expected]


def test_the_first_that_applies():
    faults = Faults()
    first = faults.add(Fault(kind="status", status=429, count=1), 0)
    second = faults.add(Fault(kind="drop"), 0)
    assert [faults.pick(GET), faults.pick(GET)] == [first, second]
    assert [f["applied"] for f in faults.as_json(0)] == [1, 1]
    assert [f["over"] for f in faults.as_json(0)] == [True, False]


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
def test_the_services_codes(status, code):
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
def test_what_is_no_fault(values, message):
    with pytest.raises(ValueError, match=message):
        Fault.from_json(values)


@pytest.mark.parametrize("kind", Kind)
def test_faults_as_json(kind):
    required = {"status": 429, "seconds": 1, "limit": 1, "resource_id": "ocid1.x"}
    needs = {"status": ["status"], "limit_exceeded": ["limit"], "vanish": ["resource_id"]}
    for name in ("not_found_after_create", "late", "slow", "slow_body", "clock_skew"):
        needs[name] = ["seconds"]
    fault = Fault.of(kind, operation="Get*", for_seconds=5, **{n: required[n] for n in needs.get(kind, [])})
    assert Fault.from_json(json.loads(json.dumps(fault.as_json()))) == fault


# With the service


def fault(local, **fields) -> str:
    return local.json("POST", "/_local/faults", fields)["id"]


def notes(local) -> list[str | None]:
    entries = local.json("GET", "/_local/journal")["entries"]
    return [(e["notes"].get("fault") or {}).get("kind") for e in entries]


def body(local) -> dict:
    return {"compartmentId": COMPARTMENT, "applicationId": local.application()}


def test_an_error(local):
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


def test_a_lost_answer_and_its_replay(local):
    details = body(local)
    fault(local, kind="lost_response", operation="CreateRun", count=1)
    fault(local, kind="replay_conflict", count=1)
    lost = local.call("POST", "/runs", details, opc_retry_token="t")
    assert lost.delivery == Delivery(drop=True)
    assert local.error("POST", "/runs", details, opc_retry_token="t")[:2] == (409, "InvalidatedRetryToken")
    run = local.json("POST", "/runs", details, opc_retry_token="t")
    assert run["id"] == json.loads(lost.content())["id"]
    assert local.json("POST", "/runs", details, opc_retry_token="u")["id"] != run["id"]
    assert notes(local)[-4:] == ["lost_response", "replay_conflict", None, None]


def test_a_dropped_request_does_nothing(local):
    details = body(local)
    fault(local, kind="drop", operation="CreateRun", count=1)
    assert local.call("POST", "/runs", details).delivery == Delivery(drop=True)
    assert local.json("GET", f"/runs?compartmentId={COMPARTMENT}") == []
    entry = local.json("GET", "/_local/journal")["entries"][-2]
    assert (entry["status"], entry["resource_id"]) == (0, None)


def test_what_was_just_created_is_not_there_yet(local):
    old = local.submit()
    local.clock.advance(60)
    fault(local, kind="not_found_after_create", seconds=5, operation="*Run")
    new = local.submit()
    assert local.call("GET", f"/runs/{old}").status == 200
    assert local.error("GET", f"/runs/{new}")[:2] == (404, "NotAuthorizedOrNotFound")
    local.clock.advance(5)
    assert local.call("GET", f"/runs/{new}").status == 200


def test_a_limit(local):
    details = body(local)
    fault(local, kind="limit_exceeded", limit=2)
    runs = [local.submit(details["applicationId"]) for _ in range(2)]
    assert local.error("POST", "/runs", details)[:2] == (400, "LimitExceeded")
    local.succeed(runs[0])
    assert local.call("POST", "/runs", details).status == 200


def test_clock_skew(local):
    run_id = local.submit()
    fault(local, kind="clock_skew", seconds=900)
    assert local.error("GET", f"/runs/{run_id}", date=formatdate(usegmt=True))[:2] == (
        401,
        "NotAuthenticated",
    )
    # A client that goes by the service's clock gets through.
    assert local.call("GET", f"/runs/{run_id}", date=formatdate(time.time() + 900, usegmt=True)).status == 200


def test_errors_can_be_slow(local):
    fault(local, kind="slow", seconds=2)
    response = local.call("GET", "/runs/x")
    assert (response.status, response.delivery) == (404, Delivery(delay=2.0))


def test_a_run_that_vanishes(local):
    gone, there = local.submit(), local.submit()
    id_ = fault(local, kind="vanish", resourceId=gone)
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/logs"), ("GET", "/statements")]:
        assert local.error(method, f"/runs/{gone}{path}")[:2] == (404, "NotAuthorizedOrNotFound")
    assert [run["id"] for run in local.json("GET", f"/runs?compartmentId={COMPARTMENT}")] == [there]
    assert local.json("GET", f"/runs/{there}")["id"] == there
    # It goes on all the same.
    assert local.json("GET", f"/_local/runs/{gone}")["lifecycleState"] == "IN_PROGRESS"
    local.call("DELETE", f"/_local/faults?id={id_}")
    assert local.state(gone) == "IN_PROGRESS"


def test_what_vanishes_for_some_time_and_some_requests(local):
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


def test_a_vanished_pool_is_in_no_list(local):
    details = {
        "compartmentId": COMPARTMENT,
        "displayName": "p",
        "configurations": [{"shape": "VM.Standard2.1"}],
    }
    pool = local.json("POST", "/pools", details)["id"]
    fault(local, kind="vanish", resourceId=pool)
    assert local.json("GET", f"/pools?compartmentId={COMPARTMENT}") == {"items": []}


@pytest.mark.parametrize("is_wanted", [True, False])
def test_what_is_late_is_done_late_or_not_at_all(local, is_wanted):
    run_id = local.submit()
    fault(local, kind="late", seconds=20, operation="DeleteRun", count=1)
    before = local.json("GET", "/_local/journal")["entries"]
    response = local.call("DELETE", f"/runs/{run_id}")
    assert response.delivery is not None
    assert response.delivery.delay == 20
    assert local.state(run_id) == "IN_PROGRESS"
    assert local.json("GET", "/_local/journal")["counts"].get("DeleteRun") is None
    answer = response.delivery.late(is_wanted)
    assert answer.headers["opc-request-id"]
    entry = next(
        e for e in local.json("GET", "/_local/journal")["entries"][len(before) :] if e["status"] != 200
    )
    assert (entry["operation"], entry["resource_id"]) == ("DeleteRun", run_id)
    assert entry["notes"]["fault"]["kind"] == "late"
    assert (entry["status"], local.state(run_id)) == ((204, "CANCELING") if is_wanted else (0, "IN_PROGRESS"))


def test_a_late_error_is_an_error(local):
    fault(local, kind="late", seconds=1)
    answer = local.call("GET", "/runs/x").delivery.late(True)
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "NotAuthorizedOrNotFound")
    assert local.json("GET", "/_local/journal")["entries"][-1]["code"] == "NotAuthorizedOrNotFound"


def test_who_created_and_who_cancelled(local):
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
    # Nothing of this is the API's.
    assert not {"createdBy", "cancelledBy"} & set(local.json("GET", f"/runs/{run_id}"))


def test_who_did_it_outlives_the_server(local):
    run_id = local.submit()
    local.call("DELETE", f"/runs/{run_id}", user_agent="worker/1")
    after = Local(local.folder, store=local.store)
    assert after.json("GET", "/_local/journal")["entries"] == []
    assert after.json("GET", f"/_local/runs/{run_id}")["cancelledBy"]["userAgent"] == "worker/1"


def test_a_run_is_moved_while_it_is_in_progress(local):
    run_id = local.submit()
    moved = local.json("PUT", f"/_local/runs/{run_id}", {"compartmentId": "ocid1.compartment.oc1..bbbb"})
    assert moved["compartmentId"] == "ocid1.compartment.oc1..bbbb"
    assert local.json("GET", f"/runs?compartmentId={COMPARTMENT}") == []
    assert len(local.json("GET", "/runs?compartmentId=ocid1.compartment.oc1..bbbb")) == 1
    local.succeed(run_id)
    assert local.state(run_id) == "SUCCEEDED"
    assert local.error("PUT", "/_local/runs/x", {"compartmentId": "y"})[0] == 404
    assert local.error("PUT", f"/_local/runs/{run_id}", {})[0] == 400


def test_what_is_local_has_no_faults(local):
    fault(local, kind="drop")
    assert local.call("GET", "/_local/health").status == 200
    assert local.error("POST", "/_local/faults", {"kind": "x"})[:2] == (400, "InvalidParameter")


# On the wire


class Wire:
    """A server around the application, which notes what is sent, and sleeps of no length."""

    def __init__(self, response: Response) -> None:
        self.sent: list[dict] = []
        self.closed = False
        self._response = response
        self._read = False

    def handle(self, request: Request) -> Response:
        return self._response

    async def receive(self) -> dict:
        if self._read:
            return {"type": "http.disconnect"}
        self._read = True
        return {"type": "http.request", "body": b""}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True

    def run(self) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [],
            "extensions": {CLOSE: self.close},
        }
        asyncio.run(application(self)(scope, self.receive, self.send))

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr("airflow_provider_dataflow.local.http.asgi.asyncio.sleep", sleep)
    return seconds


@pytest.mark.parametrize(
    ("delivery", "content", "body", "closed", "total"),
    [
        (Delivery(drop=True), b"0123456789", None, True, 0),
        (Delivery(delay=3), b"0123456789", b"0123456789", False, 3),
        (Delivery(delay=3, drop=True), b"0123456789", None, True, 3),
        (Delivery(body_seconds=2), b"0123456789" * 9, b"0123456789" * 9, False, 2),
        (Delivery(body_seconds=2), b"", b"", False, 0),
        (Delivery(truncate=True), b"0123456789", b"01234", True, 0),
        (Delivery(truncate=True, body_bytes=3), b"0123456789", b"012", True, 0),
        (Delivery(truncate=True, body_bytes=99), b"0123456789", b"0123456789", True, 0),
    ],
)
@pytest.mark.parametrize("as_iterator", [False, True])
def test_deliveries(slept, delivery, content, body, closed, total, as_iterator):
    response = Response(200, {}, iter([content[:4], content[4:]]) if as_iterator else content, delivery)
    wire = Wire(response)
    wire.run()
    assert wire.closed is closed
    assert sum(slept) == pytest.approx(total)
    if body is None:
        assert wire.sent == []
    else:
        assert dict(wire.sent[0]["headers"])[b"content-length"] == str(len(content)).encode()
        assert wire.body == body
        assert wire.sent[-1].get("more_body", False) is closed


@pytest.mark.parametrize("stays", [True, False])
def test_who_does_not_stay_gets_nothing_done(stays):
    told: list[bool] = []

    def late(is_wanted: bool) -> Response:
        told.append(is_wanted)
        return Response(204)

    class Patient(Wire):
        async def receive(self) -> dict:
            if self._read and stays:
                await asyncio.Event().wait()
            return await super().receive()

    wire = Patient(Response(0, delivery=Delivery(delay=0.02 if stays else 600, late=late)))
    wire.run()
    assert told == [stays]
    assert [m.get("status") for m in wire.sent][:1] == ([204] if stays else [])


def test_operations_of_faults_are_those_of_the_service(local):
    routes = [route for group in local.service._api._routes.values() for _, route in group]
    assert sorted(route.operation for route in routes) == sorted(OPERATIONS)


@pytest.mark.parametrize("operation", ["*", "*Run", "Get*", "CreateRun", "[CD]*Run"])
def test_a_pattern_that_matches_an_operation(operation):
    Fault(kind="drop", operation=operation).check_operation()


@pytest.mark.parametrize(
    ("operation", "meant"), [("CreteRun", "CreateRun"), ("getrun", "GetRun"), ("*Rum", "")]
)
def test_a_pattern_that_matches_no_operation_is_refused(local, operation, meant):
    with pytest.raises(ValueError, match="matches no operation") as error:
        Fault(kind="drop", operation=operation).check_operation()
    assert meant in str(error.value)
    assert error.value.field == "operation"
    status, _, message = local.error("POST", "/_local/faults", {"kind": "drop", "operation": operation})
    assert (status, message.startswith("operation matches no operation")) == (400, True)
    assert meant in message
