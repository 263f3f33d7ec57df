"""Options that make the server refuse or delay requests."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dataflow.local.engines.base import RunOutcome
from airflow_provider_dataflow.local.state.options import Options, Replay
from tests.unit.local.support import APPLICATION, COMPARTMENT, Local

OTHER = COMPARTMENT.replace("aaaa", "bbbb")


@pytest.fixture
def make(tmp_path):
    def make_local(**options: Any) -> Local:
        return Local(tmp_path, limit=10, options=Options(verify_signatures=False, **options))

    return make_local


def run_of(local: Local, **fields: Any) -> dict[str, Any]:
    return {"compartmentId": COMPARTMENT, "applicationId": local.application()} | fields


def test_concurrent_runs_per_compartment_are_limited(make):
    local = make(max_concurrent_runs_per_compartment=1)
    first, second = local.submit(), local.submit()
    other = local.submit(compartmentId=OTHER)
    assert [local.state(r) for r in (first, second, other)] == ["IN_PROGRESS", "ACCEPTED", "IN_PROGRESS"]
    local.succeed(first)
    assert local.state(second) == "IN_PROGRESS"


def test_live_runs_per_compartment_are_limited(make):
    local = make(max_live_runs_per_compartment=2)
    first, _ = local.submit(), local.submit()
    body = run_of(local)
    assert local.error("POST", "/runs", body, opc_retry_token="t")[:2] == (400, "LimitExceeded")
    assert local.json("POST", "/runs", body | {"compartmentId": OTHER})["id"]
    local.succeed(first)
    run_id = local.json("POST", "/runs", body, opc_retry_token="t")["id"]
    # A replay does not count against the limit.
    assert local.json("POST", "/runs", body, opc_retry_token="t")["id"] == run_id


def test_replay_can_be_a_conflict(make):
    local = make(replay=Replay.CONFLICT)
    body = run_of(local)
    run_id = local.json("POST", "/runs", body, opc_retry_token="t")["id"]
    assert local.error("POST", "/runs", body, opc_retry_token="t")[:2] == (409, "InvalidatedRetryToken")
    assert [r["id"] for r in local.json("GET", f"/runs?compartmentId={COMPARTMENT}")] == [run_id]


def test_forbidden_properties_are_400(make):
    local = make(forbidden_properties=("spark.secret.*",))
    assert local.submit(configuration={"spark.master": "local"})
    for call, body in (
        ("/runs", run_of(local, configuration={"spark.secret.x": "1"})),
        ("/applications", APPLICATION | {"configuration": {"spark.secret.x": "1"}}),
        ("/applications", APPLICATION | {"execute": "--conf spark.secret.x=1 oci://b@n/a.py"}),
    ):
        status, code, message = local.error("POST", call, body)
        assert (status, code) == (400, "InvalidParameter")
        assert "spark.secret.x" in message


@pytest.mark.parametrize(
    "key",
    ["spark.master", "spark.submit.deployMode", "spark.eventLog.dir", "spark.driver.host", "spark.ui.port"],
)
def test_default_forbidden_properties(local, key):
    assert local.error("POST", "/runs", run_of(local, configuration={key: "x"}))[0] == 400


def test_application_can_require_all_parameters(make, local):
    fields = APPLICATION | {"arguments": ["${a}"]}
    assert local.json("POST", "/applications", fields)["id"]
    strict = make(complete_application_parameters=True)
    assert strict.error("POST", "/applications", fields)[:2] == (400, "InvalidParameter")
    given = strict.json("POST", "/applications", fields | {"parameters": [{"name": "a", "value": "1"}]})
    assert strict.error("PUT", f"/applications/{given['id']}", {"arguments": ["${b}"]})[0] == 400


def test_streaming_application_has_one_live_run(make):
    local = make()
    application = local.application(type="STREAMING")
    first = local.submit(application)
    body = {"compartmentId": COMPARTMENT, "applicationId": application}
    status, code, message = local.error("POST", "/runs", body)
    assert (status, code) == (409, "Conflict")
    assert first in message
    local.succeed(first)
    assert local.submit(application)


def test_streaming_application_can_have_several_live_runs(make):
    local = make(one_run_per_streaming_application=False)
    application = local.application(type="STREAMING")
    assert local.submit(application) != local.submit(application)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"freeformTags": {str(i): "x" for i in range(11)}}, "at most 10 tags"),
        ({"freeformTags": {"": "x"}}, "1 to 100 characters"),
        ({"freeformTags": {"k" * 101: "x"}}, "1 to 100 characters"),
        ({"freeformTags": {"k": "x" * 257}}, "more than 256 characters"),
        ({"freeformTags": {"k": 1}}, "must map strings to strings"),
        ({"definedTags": {"ns": {str(i): "x" for i in range(65)}}}, "at most 64 tags"),
        ({"definedTags": {"ns": {"k": []}}}, "a string, a number or a boolean"),
        ({"definedTags": {"": {"k": "v"}}}, "a namespace must have"),
    ],
)
def test_invalid_tags_are_400(local, fields, message):
    status, code, text = local.error("POST", "/runs", run_of(local, **fields))
    assert (status, code) == (400, "InvalidParameter")
    assert message in text


def test_valid_tags_are_accepted(local):
    tags = {"freeformTags": {"a": ""}, "definedTags": {"Operations": {"CostCenter": "42", "n": 1}}}
    run = local.json("POST", "/runs", run_of(local, **tags))
    assert {k: run[k] for k in tags} == tags


def test_resource_principal_session_url_is_in_the_journal(local):
    url = "https://auth.example/v1/resourcePrincipalToken"
    local.json("POST", "/runs", run_of(local), opc_parent_rpt_url=url)
    entry = next(local.service.journal.select(operation="CreateRun"))
    assert entry.notes["parentRptUrl"] == url


def test_cascading_delete_ends_runs_in_every_state(tmp_path):
    local = Local(tmp_path, limit=1)
    application = local.application()
    running, waiting = local.submit(application), local.submit(application)
    path = f"/applications/{application}/actions/cascadingDeleteApplication"
    assert local.error("POST", path, if_match="other")[0] == 412
    answer = local.call("POST", path)
    assert (answer.status, answer.content()) == (202, b"")
    assert (local.state(running), local.state(waiting)) == ("CANCELING", "CANCELED")
    assert "its application was deleted" in local.json("GET", f"/runs/{waiting}")["lifecycleDetails"]
    assert local.json("GET", f"/applications/{application}")["lifecycleState"] == "DELETED"
    request = f"/workRequests/{answer.headers['opc-work-request-id']}"
    local.clock.advance(60)
    found = local.json("GET", request)
    assert (found["status"], found["resources"][0]["resourceId"]) == ("INPROGRESS", application)
    local.engine.finished(running, RunOutcome(False))
    found = local.json("GET", request)
    assert (found["status"], found["resources"][0]["actionType"]) == ("SUCCEEDED", "DELETED")


def test_cascading_delete_without_runs_ends_at_once(local):
    path = f"/applications/{local.application()}/actions/cascadingDeleteApplication"
    request = local.call("POST", path).headers["opc-work-request-id"]
    assert local.json("GET", f"/workRequests/{request}")["status"] == "SUCCEEDED"


def test_application_can_be_moved(local):
    application = local.application()
    path = f"/applications/{application}/actions/changeCompartment"
    assert local.error("POST", path, {})[:2] == (400, "MissingParameter")
    assert local.call("POST", path, {"compartmentId": OTHER}).status == 204
    listed = local.json("GET", f"/applications?compartmentId={OTHER}&sparkVersion=3.5.0")
    assert [a["id"] for a in listed] == [application]
    assert local.json("GET", f"/applications?compartmentId={OTHER}&sparkVersion=3.2.1") == []
    assert local.json("GET", f"/applications?compartmentId={COMPARTMENT}") == []
