"""SQL endpoints of Local Data Flow: states, work requests, maintenance, lists and wrong input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_dataflow.local.api.sql_endpoints import FIELDS, SUMMARY_FIELDS
from tests.unit.local.support import COMPARTMENT, Local

SQL_ENDPOINT = {
    "compartmentId": COMPARTMENT,
    "displayName": "an endpoint",
    "driverShape": "VM.Standard2.1",
    "executorShape": "VM.Standard2.1",
    "lakeId": "ocid1.datalake.oc1..aaaa",
    "maxExecutorCount": 2,
    "metastoreId": "ocid1.datacatalogmetastore.oc1..aaaa",
    "minExecutorCount": 1,
    "networkConfiguration": {"networkType": "SECURE_ACCESS"},
    "sqlEndpointVersion": "3.5.0",
    "warehouseBucketUri": "oci://warehouse@ns/",
}
OPTIONAL = ("lakeId", "warehouseBucketUri")


def active(local: Local, **fields: Any) -> str:
    endpoint: str = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT | fields)["id"]
    local.clock.advance(1)
    return endpoint


def get(local: Local, endpoint: str) -> Any:
    return local.json("GET", f"/sqlEndpoints/{endpoint}")


def state(local: Local, endpoint: str) -> Any:
    return get(local, endpoint)["lifecycleState"]


def test_sql_endpoint_lifecycle(local):
    response = local.call("POST", "/sqlEndpoints", SQL_ENDPOINT, opc_retry_token="t")
    endpoint = json.loads(response.content())
    assert response.status == 202
    assert set(endpoint) == set(FIELDS)
    assert (endpoint["lifecycleState"], endpoint["jdbcEndpointUrl"]) == ("CREATING", None)
    again = local.call("POST", "/sqlEndpoints", SQL_ENDPOINT, opc_retry_token="t")
    assert json.loads(again.content())["id"] == endpoint["id"]
    path = f"/sqlEndpoints/{endpoint['id']}"
    for method, action in (("POST", "/actions/stop"), ("POST", "/actions/start"), ("DELETE", "")):
        assert local.error(method, path + action)[:2] == (409, "IncorrectState")
    local.clock.advance(1)
    request = local.json("GET", f"/workRequests/{response.headers['opc-work-request-id']}")
    assert (request["operation"], request["status"]) == ("CREATE_SQL_ENDPOINT", "SUCCEEDED")
    assert request["resources"][0]["resourceUri"] == path
    assert get(local, endpoint["id"])["jdbcEndpointUrl"].startswith("jdbc:")

    for action, passing, then in (("stop", "UPDATING", "INACTIVE"), ("start", "UPDATING", "ACTIVE")):
        assert local.call("POST", f"{path}/actions/{action}").status == 202
        assert state(local, endpoint["id"]) == passing
        local.clock.advance(1)
        assert state(local, endpoint["id"]) == then
        assert local.error("POST", f"{path}/actions/{action}")[:2] == (409, "Conflict")
        assert bool(get(local, endpoint["id"])["jdbcEndpointUrl"]) == (then == "ACTIVE")
    assert local.call("DELETE", path).status == 202
    local.clock.advance(1)
    assert state(local, endpoint["id"]) == "DELETED"


def test_lake_and_warehouse_are_optional(local):
    endpoint = get(local, active(local, **dict.fromkeys(OPTIONAL)))
    assert [endpoint[name] for name in OPTIONAL] == [None, None]


@pytest.mark.parametrize("before", ["ACTIVE", "INACTIVE"])
def test_update_keeps_state_and_hides_log_settings(local, before):
    endpoint = active(local)
    path = f"/sqlEndpoints/{endpoint}"
    if before == "INACTIVE":
        local.call("POST", f"{path}/actions/stop")
        local.clock.advance(1)
    etag = local.call("GET", path).headers["etag"]
    details = {"maxExecutorCount": 4, "logOperation": "ENABLE", "logRetentionDuration": 30}
    assert local.error("PUT", path, details, if_match="other")[0] == 412
    assert local.call("PUT", path, details, if_match=etag).status == 202
    assert state(local, endpoint) == "UPDATING"
    local.clock.advance(1)
    found = get(local, endpoint)
    assert (found["lifecycleState"], found["maxExecutorCount"]) == (before, 4)
    assert set(found) == set(FIELDS)


def test_maintenance_is_updating_then_active(local):
    endpoint = active(local)
    path = f"/_local/sqlEndpoints/{endpoint}/maintain"
    assert local.call("POST", path).status == 204
    assert state(local, endpoint) == "UPDATING"
    assert local.error("POST", f"/sqlEndpoints/{endpoint}/actions/stop")[:2] == (409, "IncorrectState")
    assert local.error("POST", path)[:2] == (409, "IncorrectState")
    local.clock.advance(1)
    assert state(local, endpoint) == "ACTIVE"
    requests = local.json("GET", f"/workRequests?compartmentId={COMPARTMENT}")["items"]
    assert [r["operation"] for r in requests] == ["CREATE_SQL_ENDPOINT"]


def test_maintenance_continues_in_a_restarted_server(local):
    endpoint = active(local)
    local.call("POST", f"/_local/sqlEndpoints/{endpoint}/maintain")
    restarted = Local(local.folder, store=local.store, clock=local.clock)
    restarted.clock.advance(1)
    assert state(restarted, endpoint) == "ACTIVE"


def test_list_needs_compartment_or_id_and_accepts_several_filters(local):
    first, second = active(local), active(local, displayName="another")
    assert local.error("GET", "/sqlEndpoints")[:2] == (400, "MissingParameter")

    def ids(query: str) -> list[str]:
        return [item["id"] for item in local.json("GET", f"/sqlEndpoints?{query}")["items"]]

    of_compartment = f"compartmentId={COMPARTMENT}"
    assert ids(of_compartment) == [second, first]
    assert ids(f"{of_compartment}&sortBy=displayName") == [first, second]
    assert ids(f"{of_compartment}&displayName=another&lifecycleState=ACTIVE") == [second]
    assert ids(f"{of_compartment}&displayName=another&lifecycleState=INACTIVE") == []
    assert ids(f"sqlEndpointId={first}") == [first]
    (item,) = local.json("GET", f"/sqlEndpoints?sqlEndpointId={first}")["items"]
    assert set(item) == set(SUMMARY_FIELDS)
    other = COMPARTMENT.replace("aaaa", "bbbb")
    assert (
        local.call(
            "POST", f"/sqlEndpoints/{first}/actions/changeCompartment", {"compartmentId": other}
        ).status
        == 202
    )
    assert ids(f"compartmentId={other}") == [first]


SECURE = {"networkType": "SECURE_ACCESS"}
VCN = {"networkType": "VCN", "vcnId": "ocid1.vcn.oc1..aaaa", "subnetId": "ocid1.subnet.oc1..aaaa"}


@pytest.mark.parametrize(
    "network",
    [
        VCN,
        SECURE | {"accessControlRules": [{"ipNotation": "CIDR", "value": "10.0/8"}]},
    ],
)
def test_both_networks_are_accepted(local, network):
    endpoint = active(local, networkConfiguration=network)
    assert get(local, endpoint)["networkConfiguration"] == network


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        *(({name: None}, name) for name in SQL_ENDPOINT if name not in OPTIONAL),
        ({"minExecutorCount": 3}, "minExecutorCount"),
        ({"networkConfiguration": []}, "networkConfiguration"),
        ({"networkConfiguration": {}}, "networkType"),
        ({"networkConfiguration": {"networkType": "VCN"}}, "vcnId"),
        ({"networkConfiguration": VCN | {"nsgIds": ["x"]}}, "nsgIds"),
        (
            {
                "networkConfiguration": {
                    "networkType": "SECURE_ACCESS",
                    "accessControlRules": [{"value": "x"}],
                }
            },
            "accessControlRules",
        ),
        ({"sparkAdvancedConfigurations": {"a b": "c"}}, "sparkAdvancedConfigurations"),
    ],
)
def test_wrong_fields_are_400(local, changes, named):
    status, _, message = local.error("POST", "/sqlEndpoints", SQL_ENDPOINT | changes)
    assert (status, named in message) == (400, True), message
