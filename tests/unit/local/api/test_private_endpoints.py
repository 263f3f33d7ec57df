from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_dataflow.local.api import work_requests
from airflow_provider_dataflow.local.api.private_endpoints import PrivateEndpointsApi
from airflow_provider_dataflow.local.state.store import Store
from tests.unit.local.support import COMPARTMENT, Local

ENDPOINT = {
    "compartmentId": COMPARTMENT,
    "displayName": "to the database",
    "dnsZones": ["db.example.com"],
    "subnetId": "ocid1.subnet.oc1.iad.x",
    "nsgIds": ["ocid1.networksecuritygroup.oc1.iad.x"],
    "maxHostCount": 300,
    "scanDetails": [{"fqdn": "scan.example.com", "port": "1521"}],
}


def created(local: Local, **fields: Any) -> str:
    endpoint = local.json("POST", "/privateEndpoints", ENDPOINT | fields)["id"]
    local.clock.advance(1)
    return endpoint


def state(local: Local, endpoint: str) -> str:
    return local.json("GET", f"/privateEndpoints/{endpoint}")["lifecycleState"]


def test_private_endpoint_lifecycle(local):
    response = local.call("POST", "/privateEndpoints", ENDPOINT)
    endpoint = json.loads(response.content())
    assert response.status == 202
    assert set(endpoint) == set(PrivateEndpointsApi.fields)
    assert (endpoint["lifecycleState"], endpoint["maxHostCount"]) == ("CREATING", 512)
    path = f"/privateEndpoints/{endpoint['id']}"
    assert local.error("DELETE", path)[:2] == (409, "IncorrectState")
    local.clock.advance(1)
    found = local.call("GET", path)
    assert json.loads(found.content())["lifecycleState"] == "INACTIVE"
    assert local.error("PUT", path, {"description": "d"}, if_match="other")[0] == 412
    updated = local.call("PUT", path, {"description": "d"}, if_match=found.headers["etag"])
    assert (updated.status, updated.content()) == (202, b"")
    assert state(local, endpoint["id"]) == "UPDATING"
    local.clock.advance(1)
    assert local.json("GET", path)["description"] == "d"
    other = COMPARTMENT.replace("aaaa", "bbbb")
    assert local.call("POST", f"{path}/actions/changeCompartment", {"compartmentId": other}).status == 202
    local.clock.advance(1)
    items = local.json("GET", f"/privateEndpoints?compartmentId={other}")["items"]
    assert [item["id"] for item in items] == [endpoint["id"]]
    assert set(items[0]) == set(PrivateEndpointsApi.summary_fields)
    assert local.call("DELETE", path).status == 202
    assert state(local, endpoint["id"]) == "DELETING"
    local.clock.advance(1)
    assert state(local, endpoint["id"]) == "DELETED"


def test_work_requests_show_progress_and_logs(local):
    response = local.call("POST", "/privateEndpoints", ENDPOINT)
    endpoint = json.loads(response.content())["id"]
    path = f"/workRequests/{response.headers['opc-work-request-id']}"
    request = local.json("GET", path)
    assert set(request) == set(work_requests.FIELDS)
    assert (request["status"], request["operation"]) == ("ACCEPTED", "CREATE_PRIVATE_ENDPOINT")
    assert request["resources"][0]["resourceId"] == endpoint
    assert request["resources"][0]["actionType"] == "INPROGRESS"
    local.clock.advance(0.5)
    request = local.json("GET", path)
    assert (request["status"], request["percentComplete"]) == ("INPROGRESS", 50)
    local.clock.advance(0.5)
    request = local.json("GET", path)
    assert (request["status"], request["resources"][0]["actionType"]) == ("SUCCEEDED", "CREATED")
    assert request["timeAccepted"] < request["timeStarted"] < request["timeFinished"]
    logs = local.json("GET", f"{path}/logs")["items"]
    assert [(entry["id"], entry["message"].rpartition(" ")[2]) for entry in logs] == [
        (1, "ACCEPTED."),
        (2, "INPROGRESS."),
        (3, "SUCCEEDED."),
    ]
    assert set(logs[0]) == set(work_requests.LOG_FIELDS)
    assert len(local.json("GET", f"{path}/logs?limit=2")["items"]) == 2
    assert local.json("GET", f"{path}/errors") == {"items": []}
    local.call("DELETE", f"/privateEndpoints/{endpoint}")
    listed = local.json("GET", f"/workRequests?compartmentId={COMPARTMENT}")["items"]
    assert {item["operation"] for item in listed} == {"CREATE_PRIVATE_ENDPOINT", "DELETE_PRIVATE_ENDPOINT"}
    assert local.error("GET", "/workRequests/none")[0] == 404


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"subnetId": None}, "subnetId is required"),
        ({"dnsZones": None}, "dnsZones is required"),
        ({"dnsZones": "db"}, "dnsZones must be a list"),
        ({"nsgIds": ["x"]}, "nsgIds is not a valid OCID"),
        ({"maxHostCount": 0}, "maxHostCount"),
        ({"scanDetails": [1]}, "scanDetails must be a list of objects"),
        ({"scanDetails": [{"port": 1521}]}, "scanDetails.port must be a string"),
        ({"securityAttributes": {"a": 1}}, "securityAttributes"),
    ],
)
def test_create_private_endpoint_rejects_invalid_fields(local, fields, message):
    status, _, text = local.error("POST", "/privateEndpoints", ENDPOINT | fields)
    assert status == 400
    assert message in text


def test_run_copies_fields_of_its_private_endpoint(local):
    endpoint = created(local)
    run = local.json("GET", f"/runs/{local.submit(local.application(privateEndpointId=endpoint))}")
    assert run["privateEndpointId"] == endpoint
    assert run["privateEndpointSubnetId"] == ENDPOINT["subnetId"]
    assert run["privateEndpointDnsZones"] == ENDPOINT["dnsZones"]
    assert run["privateEndpointNsgIds"] == ENDPOINT["nsgIds"]
    assert run["privateEndpointMaxHostCount"] == 512
    assert local.error("DELETE", f"/privateEndpoints/{endpoint}")[:2] == (409, "Conflict")


def test_private_endpoint_that_is_changing_or_deleted_is_rejected(local):
    none = "ocid1.dataflowprivateendpoint.oc1.iad.none"
    body = {"compartmentId": COMPARTMENT, "applicationId": local.application()}
    application = local.json("GET", f"/applications/{body['applicationId']}")
    fields = {k: v for k, v in application.items() if v and k not in ("id", "timeCreated")}
    status, code, _ = local.error("POST", "/applications", fields | {"privateEndpointId": none})
    assert (status, code) == (400, "RelatedResourceNotAuthorizedOrNotFound")
    endpoint = created(local)
    body["applicationId"] = local.application(privateEndpointId=endpoint)
    local.call("PUT", f"/privateEndpoints/{endpoint}", {"description": "d"})
    assert local.error("POST", "/runs", body)[:2] == (409, "IncorrectState")
    local.clock.advance(1)
    local.call("DELETE", f"/privateEndpoints/{endpoint}")
    local.clock.advance(1)
    assert local.error("POST", "/runs", body)[:2] == (400, "RelatedResourceNotAuthorizedOrNotFound")


def test_run_of_a_second_application_with_a_private_endpoint_fails(tmp_path):
    local = Local(tmp_path, limit=10)
    first = local.application(privateEndpointId=created(local))
    second = local.application(privateEndpointId=created(local))
    one, same, other, without = local.submit(first), local.submit(first), local.submit(second), local.submit()
    assert [local.state(r) for r in (one, same, without)] == ["IN_PROGRESS"] * 3
    run = local.json("GET", f"/runs/{other}")
    assert run["lifecycleState"] == "FAILED"
    assert one in run["lifecycleDetails"]
    assert first in run["lifecycleDetails"]
    local.succeed(one)
    local.succeed(same)
    assert local.state(local.submit(second)) == "IN_PROGRESS"


def test_private_endpoint_is_active_from_a_run_until_a_run_uses_another_one(local):
    first, second = created(local), created(local)
    application = local.application(privateEndpointId=first)
    run_id = local.submit(application)
    assert [state(local, endpoint) for endpoint in (first, second)] == ["ACTIVE", "INACTIVE"]
    local.succeed(run_id)
    assert state(local, first) == "ACTIVE"
    local.call("PUT", f"/privateEndpoints/{first}", {"description": "d"})
    local.clock.advance(1)
    assert state(local, first) == "ACTIVE"
    local.succeed(local.submit(local.application(privateEndpointId=second)))
    assert [state(local, endpoint) for endpoint in (first, second)] == ["INACTIVE", "ACTIVE"]
    assert local.call("DELETE", f"/privateEndpoints/{second}").status == 202


def test_waiting_run_does_not_bring_back_its_deleted_private_endpoint(tmp_path):
    local = Local(tmp_path, limit=1)
    endpoint = created(local)
    running, waiting = local.submit(), local.submit(local.application(privateEndpointId=endpoint))
    local.call("DELETE", f"/privateEndpoints/{endpoint}")
    local.succeed(running)
    assert (local.state(waiting), state(local, endpoint)) == ("IN_PROGRESS", "DELETING")


def test_private_endpoint_transitions_continue_after_a_restart(tmp_path):
    store = Store()
    before = Local(tmp_path, store=store)
    response = before.call("POST", "/privateEndpoints", ENDPOINT)
    after = Local(tmp_path, store=store, clock=before.clock)
    after.clock.advance(1)
    assert state(after, json.loads(response.content())["id"]) == "INACTIVE"
    request = after.json("GET", f"/workRequests/{response.headers['opc-work-request-id']}")
    assert request["status"] == "SUCCEEDED"
