from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_dataflow.local.api.pools import PoolsApi
from airflow_provider_dataflow.local.engines.base import RunOutcome
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.pool_schedules import ScheduledAction, next_action
from airflow_provider_dataflow.local.state.store import Store
from tests.unit.local.support import COMPARTMENT, Local

POOL = {
    "compartmentId": COMPARTMENT,
    "displayName": "a pool",
    "configurations": [{"shape": "VM.Standard2.1", "min": 2, "max": 4}],
}
MONDAY = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
SCHEDULES = [{"dayOfWeek": "MONDAY", "startTime": 8, "stopTime": 18}]


def create(local: Local, **fields: Any) -> str:
    return local.json("POST", "/pools", POOL | fields)["id"]


def active(local: Local, **fields: Any) -> str:
    pool = create(local, **fields)
    local.clock.advance(1)
    assert state(local, pool) == "ACTIVE"
    return pool


def state(local: Local, pool: str) -> str:
    return local.json("GET", f"/pools/{pool}")["lifecycleState"]


def act(local: Local, pool: str, action: str, seconds: float = 1) -> None:
    assert local.call("POST", f"/pools/{pool}/actions/{action}").status == 202
    local.clock.advance(seconds)


def test_create_pool_returns_202_and_becomes_active(local):
    response = local.call("POST", "/pools", POOL, opc_retry_token="t")
    pool = json.loads(response.content())
    assert response.status == 202
    assert response.headers["etag"]
    assert set(pool) == set(PoolsApi.fields)
    assert pool["id"].startswith("ocid1.dataflowpool.oc1.iad.")
    assert (pool["lifecycleState"], pool["freeformTags"], pool["schedules"]) == ("ACCEPTED", {}, [])
    again = local.call("POST", "/pools", POOL, opc_retry_token="t")
    assert json.loads(again.content())["id"] == pool["id"]
    request = response.headers["opc-work-request-id"]
    assert again.headers["opc-work-request-id"] == request

    assert local.json("GET", f"/workRequests/{request}")["status"] == "ACCEPTED"
    local.clock.advance(0.5)
    assert state(local, pool["id"]) == "CREATING"
    assert local.json("GET", f"/workRequests/{request}")["status"] == "INPROGRESS"
    local.clock.advance(0.5)
    assert state(local, pool["id"]) == "ACTIVE"
    done = local.json("GET", f"/workRequests/{request}")
    assert (done["status"], done["percentComplete"]) == ("SUCCEEDED", 100)
    assert done["resources"][0]["actionType"] == "CREATED"


def test_pool_lifecycle(local):
    pool = active(local)
    etag = local.call("GET", f"/pools/{pool}").headers["etag"]
    assert local.error("DELETE", f"/pools/{pool}")[:2] == (409, "Conflict")
    assert local.error("POST", f"/pools/{pool}/actions/start")[:2] == (409, "Conflict")
    assert local.error("POST", f"/pools/{pool}/actions/stop", if_match="other")[0] == 412
    assert local.call("POST", f"/pools/{pool}/actions/stop", if_match=etag).status == 202
    assert state(local, pool) == "STOPPING"
    assert local.error("POST", f"/pools/{pool}/actions/start")[:2] == (409, "IncorrectState")
    local.clock.advance(1)
    assert state(local, pool) == "STOPPED"
    assert local.call("PUT", f"/pools/{pool}", {"description": "d"}).status == 202
    assert state(local, pool) == "UPDATING"
    local.clock.advance(1)
    found = local.json("GET", f"/pools/{pool}")
    assert (found["lifecycleState"], found["description"]) == ("STOPPED", "d")
    act(local, pool, "start")
    assert state(local, pool) == "ACTIVE"
    other = COMPARTMENT.replace("aaaa", "bbbb")
    path = f"/pools/{pool}/actions/changeCompartment"
    assert local.error("POST", path, {"compartmentId": other})[:2] == (409, "Conflict")
    act(local, pool, "stop")
    metrics = local.json("GET", f"/pools/{pool}")["poolMetrics"]
    assert metrics["timeLastStarted"] < metrics["timeLastStopped"]
    assert local.call("POST", path, {"compartmentId": other}).status == 202
    local.clock.advance(1)
    assert local.json("GET", f"/pools?compartmentId={COMPARTMENT}") == {"items": []}
    assert [p["id"] for p in local.json("GET", f"/pools?compartmentId={other}")["items"]] == [pool]
    assert local.call("DELETE", f"/pools/{pool}").status == 202
    assert state(local, pool) == "DELETING"
    local.clock.advance(1)
    # A deleted pool can still be read.
    assert state(local, pool) == "DELETED"
    assert local.error("POST", f"/pools/{pool}/actions/start")[0] == 409


def test_pool_action_with_a_retry_token_is_carried_out_once(local):
    pool = active(local)
    first = local.call("POST", f"/pools/{pool}/actions/stop", opc_retry_token="t")
    again = local.call("POST", f"/pools/{pool}/actions/stop", opc_retry_token="t")
    assert (first.status, again.status) == (202, 202)
    assert first.headers["opc-work-request-id"] == again.headers["opc-work-request-id"]
    assert local.error("POST", f"/pools/{create(local)}/actions/stop", opc_retry_token="t")[0] == 409


def test_list_pools(local):
    for name in ("a1", "a2", "b"):
        create(local, displayName=name)
        local.clock.advance(1)

    def names(query: str) -> list[str]:
        items = local.json("GET", f"/pools?compartmentId={COMPARTMENT}{query}")["items"]
        return [item["displayName"] for item in items]

    assert names("") == ["b", "a2", "a1"]
    assert names("&displayNameStartsWith=a&sortOrder=ASC") == ["a1", "a2"]
    assert names("&lifecycleState=ACTIVE&limit=1") == ["b"]
    base = f"/pools?compartmentId={COMPARTMENT}"
    assert local.error("GET", f"{base}&displayName=b&lifecycleState=ACTIVE")[0] == 400
    assert local.error("GET", f"{base}&lifecycleState=NEW")[0] == 400
    item = local.json("GET", f"/pools?compartmentId={COMPARTMENT}")["items"][0]
    assert set(item) == set(PoolsApi.summary_fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"configurations": None}, "configurations is required"),
        ({"configurations": []}, "at least one"),
        ({"configurations": [{}] * 4}, "at most 3"),
        ({"configurations": [{"min": 3, "max": 2}]}, "min must not be larger"),
        ({"configurations": [{"min": -1, "max": 2}]}, "configurations.min"),
        ({"configurations": [{"min": 0, "max": 0}]}, "configurations.max"),
        ({"configurations": [{"shapeConfig": {"ocpus": -1}}]}, "ocpus"),
        ({"schedules": [{"dayOfWeek": "SOMEDAY"}]}, "dayOfWeek"),
        ({"schedules": [{"dayOfWeek": "MONDAY", "startTime": 24}]}, "startTime"),
        ({"schedules": "daily"}, "schedules must be a list"),
        ({"idleTimeoutInMinutes": 0}, "idleTimeoutInMinutes"),
    ],
)
def test_create_pool_rejects_invalid_fields(local, fields, message):
    status, _, text = local.error("POST", "/pools", POOL | fields)
    assert status == 400
    assert message in text


def test_run_waits_until_its_pool_is_active(local):
    pool = create(local)
    run_id = local.submit(poolId=pool)
    other = local.submit()
    assert (local.state(run_id), local.state(other)) == ("ACCEPTED", "IN_PROGRESS")
    local.clock.advance(1)
    assert local.state(run_id) == "IN_PROGRESS"
    metrics = local.json("GET", f"/pools/{pool}")["poolMetrics"]
    assert metrics["activeRunsCount"] == 1
    assert metrics["activelyUsedNodeCount"] == [{"logicalShape": "VM.Standard2.1", "count": 2}]
    assert metrics["timeLastUsed"]
    listed = local.json("GET", f"/runs?compartmentId={COMPARTMENT}&poolId={pool}")
    assert [run["id"] for run in listed] == [run_id]
    local.succeed(run_id)
    assert local.json("GET", f"/pools/{pool}")["poolMetrics"]["activeRunsCount"] == 0


def test_submit_starts_a_stopped_pool(local):
    pool = active(local)
    act(local, pool, "stop")
    run_id = local.submit(local.application(poolId=pool))
    assert (state(local, pool), local.state(run_id)) == ("ACCEPTED", "ACCEPTED")
    local.clock.advance(1)
    assert (state(local, pool), local.state(run_id)) == ("ACTIVE", "IN_PROGRESS")


def test_submit_leaves_a_stopped_pool_if_so_configured(tmp_path):
    local = Local(tmp_path, options=Options(verify_signatures=False, submission_starts_pool=False))
    pool = active(local)
    act(local, pool, "stop")
    run_id = local.submit(poolId=pool)
    local.clock.advance(600)
    assert (state(local, pool), local.state(run_id)) == ("STOPPED", "ACCEPTED")
    act(local, pool, "start")
    assert local.state(run_id) == "IN_PROGRESS"


def test_runs_share_the_nodes_of_a_pool(tmp_path):
    local = Local(tmp_path, limit=10)
    pool = active(local)
    runs = [local.submit(poolId=pool) for _ in range(3)]
    assert [local.state(r) for r in runs] == ["IN_PROGRESS", "IN_PROGRESS", "ACCEPTED"]
    local.clock.advance(600)
    local.succeed(runs[0])
    assert local.state(runs[2]) == "IN_PROGRESS"


@pytest.mark.parametrize(("timeout", "minutes"), [(None, 20), ("1h", 60), ("45min", 45), ("90", 90)])
def test_run_fails_if_its_pool_has_no_capacity_in_time(local, timeout, minutes):
    pool = active(local)
    configuration = {} if timeout is None else {"spark.dataflow.acquireQuotaTimeout": timeout}
    run_id = local.submit(poolId=pool, numExecutors=4, configuration=configuration)
    local.clock.advance(minutes * 60 - 1)
    assert local.state(run_id) == "ACCEPTED"
    local.clock.advance(1)
    run = local.json("GET", f"/runs/{run_id}")
    assert run["lifecycleState"] == "FAILED"
    assert f"within {minutes} minutes" in run["lifecycleDetails"]
    assert run["runDurationInMilliseconds"] is None


def test_stopping_a_pool_ends_its_runs(local):
    pool = active(local)
    running, waiting = local.submit(poolId=pool), local.submit(poolId=pool, numExecutors=4)
    service = local.submit(type="STREAMING", poolId=pool)
    assert local.state(service) == "ACCEPTED"
    act(local, pool, "stop", 5)
    assert (local.state(running), local.state(waiting)) == ("CANCELING", "CANCELED")
    # It becomes STOPPED when all of its runs have ended.
    assert state(local, pool) == "STOPPING"
    local.engine.finished(running, RunOutcome(False))
    assert (state(local, pool), local.state(running)) == ("STOPPED", "CANCELED")
    assert "pool was stopped" in local.json("GET", f"/runs/{running}")["lifecycleDetails"]


def test_idle_pool_is_stopped(local):
    pool = active(local, idleTimeoutInMinutes=10)
    local.clock.advance(300)
    run_id = local.submit(poolId=pool)
    local.clock.advance(3600)
    local.succeed(run_id)
    local.clock.advance(599)
    assert state(local, pool) == "ACTIVE"
    etag = local.call("GET", f"/pools/{pool}").headers["etag"]
    local.clock.advance(1)
    assert state(local, pool) == "STOPPING"
    local.clock.advance(1)
    assert state(local, pool) == "STOPPED"
    assert local.call("GET", f"/pools/{pool}").headers["etag"] != etag


def test_use_of_a_pool_does_not_change_its_etag(local):
    pool = active(local)
    etag = local.call("GET", f"/pools/{pool}").headers["etag"]
    local.succeed(local.submit(poolId=pool))
    assert local.call("GET", f"/pools/{pool}").headers["etag"] == etag


def test_schedules_start_and_stop_a_pool(local):
    local.clock.move_to(MONDAY)
    pool = create(local, schedules=SCHEDULES)
    assert state(local, pool) == "ACCEPTED"
    local.clock.advance(1)
    assert state(local, pool) == "SCHEDULED"
    local.clock.move_to(MONDAY + 8 * 3600 + 1)
    assert state(local, pool) == "ACTIVE"
    local.clock.move_to(MONDAY + 18 * 3600 + 1)
    assert state(local, pool) == "STOPPED"
    local.clock.move_to(MONDAY + (7 * 24 + 8) * 3600 + 1)
    assert state(local, pool) == "ACTIVE"


def test_work_request_of_a_scheduled_pool_succeeds(local):
    response = local.call("POST", "/pools", POOL | {"schedules": SCHEDULES})
    local.clock.advance(1)
    request = local.json("GET", f"/workRequests/{response.headers['opc-work-request-id']}")
    resource = request["resources"][0]
    assert (request["status"], request["operation"]) == ("SUCCEEDED", "CREATE_POOL")
    # Terraform's provider searches for the word dataflow.
    assert (resource["actionType"], resource["resourceType"]) == ("CREATED", "dataflow_pool")


def scheduled(local: Local) -> str:
    pool = create(local, schedules=SCHEDULES)
    local.clock.advance(1)
    return pool


def test_scheduled_pool_is_started_by_a_request_or_a_run(local):
    by_request, by_run = scheduled(local), scheduled(local)
    act(local, by_request, "start")
    assert state(local, by_request) == "ACTIVE"
    run_id = local.submit(poolId=by_run)
    local.clock.advance(1)
    assert (state(local, by_run), local.state(run_id)) == ("ACTIVE", "IN_PROGRESS")


def test_scheduled_pool_can_be_updated_and_deleted(local):
    pool = scheduled(local)
    path = f"/pools/{pool}"
    assert local.error("POST", f"{path}/actions/stop")[:2] == (409, "Conflict")
    local.call("PUT", path, {"description": "d"})
    local.clock.advance(1)
    assert state(local, pool) == "SCHEDULED"
    local.call("PUT", path, {"schedules": []})
    local.clock.advance(1)
    assert state(local, pool) == "STOPPED"
    pool = scheduled(local)
    assert local.call("DELETE", f"/pools/{pool}").status == 202
    local.clock.advance(1)
    assert state(local, pool) == "DELETED"


def test_pool_may_have_no_nodes_at_first(local):
    pool = active(local, configurations=[{"shape": "VM.Standard2.1", "min": 0, "max": 3}])
    assert local.state(local.submit(poolId=pool)) == "IN_PROGRESS"


def test_next_action_of_schedules():
    schedules = [
        {"dayOfWeek": "MONDAY", "startTime": 8, "stopTime": 18},
        {"dayOfWeek": "SUNDAY", "startTime": None, "stopTime": 0},
        {},
    ]
    assert next_action(schedules, MONDAY) == (MONDAY + 8 * 3600, ScheduledAction.START)
    assert next_action(schedules, MONDAY + 8 * 3600) == (MONDAY + 18 * 3600, ScheduledAction.STOP)
    assert next_action(schedules, MONDAY + 18 * 3600) == (MONDAY + 6 * 24 * 3600, ScheduledAction.STOP)
    assert next_action([], MONDAY) is None


def test_pool_that_cannot_be_used_is_rejected(local):
    pool = active(local)
    body = {"compartmentId": COMPARTMENT, "applicationId": local.application(), "poolId": pool}
    status, code, message = local.error("POST", "/runs", body | {"executorShape": "VM.Other.1"})
    assert (status, code) == (400, "InvalidParameter")
    assert "no nodes of the shape VM.Other.1" in message
    waiting = local.submit(poolId=pool, numExecutors=4)
    act(local, pool, "stop")
    assert local.state(waiting) == "CANCELED"
    local.call("DELETE", f"/pools/{pool}")
    local.clock.advance(1)
    assert local.error("POST", "/runs", body)[:2] == (400, "RelatedResourceNotAuthorizedOrNotFound")
    assert local.json("POST", "/runs", body | {"poolId": None})["poolId"] is None


def test_pool_transitions_continue_after_a_restart(tmp_path):
    store = Store()
    before = Local(tmp_path, store=store)
    creating, idle = create(before), active(before, idleTimeoutInMinutes=1)
    creating = create(before)
    run_id = before.submit(poolId=creating)
    after = Local(tmp_path, store=store, clock=before.clock)
    assert (state(after, creating), after.state(run_id)) == ("ACCEPTED", "ACCEPTED")
    after.clock.advance(1)
    assert (state(after, creating), after.state(run_id)) == ("ACTIVE", "IN_PROGRESS")
    after.clock.advance(120)
    assert state(after, idle) == "STOPPED"
