"""Servers behind SQL endpoints: when they start and end, and what becomes of an endpoint without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_dataflow.local.engines.base import SqlEndpointEngine, SqlServerEnded, SqlServerReady
from tests.unit.local.api.test_sql_endpoints import SQL_ENDPOINT
from tests.unit.local.support import COMPARTMENT, FakeEngine, Local

URL = "jdbc:hive2://127.0.0.1:10001/default"


@dataclass
class SqlEngine(FakeEngine):
    """Engine whose servers become ready and end when the test says so."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def bind_sql_endpoints(self, ready: SqlServerReady, ended: SqlServerEnded) -> None:
        self.ready, self.ended = ready, ended

    def start_sql_endpoint(self, endpoint: Any, port: int | None) -> None:
        self.calls.append(("start", endpoint["id"], port))

    def stop_sql_endpoint(self, endpoint_id: str) -> None:
        self.calls.append(("stop", endpoint_id))

    def forget_sql_endpoint(self, endpoint_id: str) -> None:
        self.calls.append(("forget", endpoint_id))

    def taken(self) -> list[tuple[Any, ...]]:
        """Return the calls since the last one of this method, without the endpoint's id."""
        calls, self.calls = self.calls, []
        return [(name, *rest) for name, _, *rest in calls]


@pytest.fixture
def engine() -> SqlEngine:
    return SqlEngine()


@pytest.fixture
def local(tmp_path, engine) -> Local:
    return Local(tmp_path, engine=engine)


@pytest.fixture
def endpoint(local, engine) -> str:
    """Return the id of an ACTIVE endpoint."""
    id_: str = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT)["id"]
    engine.ready(id_, URL)
    local.clock.advance(1)
    assert shown(local, id_) == ("ACTIVE", URL, None)
    assert engine.taken() == [("start", None)]
    return id_


def shown(local: Local, endpoint: str) -> tuple[str, str | None, str | None]:
    body = local.json("GET", f"/sqlEndpoints/{endpoint}")
    return body["lifecycleState"], body["jdbcEndpointUrl"], body["stateMessage"]


def work_requests(local: Local) -> list[tuple[str, str]]:
    items = local.json("GET", f"/workRequests?compartmentId={COMPARTMENT}")["items"]
    return [(item["operation"], item["status"]) for item in items]


def test_fake_is_an_engine_with_servers():
    assert isinstance(SqlEngine(), SqlEndpointEngine)
    assert not isinstance(FakeEngine(), SqlEndpointEngine)


def test_endpoint_is_active_only_when_its_server_is_ready(local, engine):
    endpoint = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT)["id"]
    local.clock.advance(1000)
    assert shown(local, endpoint) == ("CREATING", None, None)
    assert work_requests(local) == [("CREATE_SQL_ENDPOINT", "INPROGRESS")]
    engine.ready(endpoint, URL)
    assert shown(local, endpoint) == ("ACTIVE", URL, None)
    assert work_requests(local) == [("CREATE_SQL_ENDPOINT", "SUCCEEDED")]


def test_server_that_is_ready_early_does_not_shorten_the_transition(local, engine):
    endpoint = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT)["id"]
    engine.ready(endpoint, URL)
    assert shown(local, endpoint)[0] == "CREATING"
    local.clock.advance(1)
    assert shown(local, endpoint)[0] == "ACTIVE"


@pytest.mark.parametrize(
    ("method", "action", "last"), [("POST", "/actions/stop", "INACTIVE"), ("DELETE", "", "DELETED")]
)
def test_stop_and_delete_wait_for_the_end_of_the_server(local, engine, endpoint, method, action, last):
    local.call(method, f"/sqlEndpoints/{endpoint}{action}")
    assert engine.taken() == [("stop",)]
    local.clock.advance(1000)
    assert shown(local, endpoint)[0] in ("UPDATING", "DELETING")
    engine.ended(endpoint, "It was ended from outside.")
    assert shown(local, endpoint) == (last, None, None)
    assert engine.taken() == ([("forget",)] if last == "DELETED" else [])


def test_stopped_endpoint_starts_at_its_earlier_port(local, engine, endpoint):
    local.call("POST", f"/sqlEndpoints/{endpoint}/actions/stop")
    engine.ended(endpoint, "")
    local.clock.advance(1)
    local.call("POST", f"/sqlEndpoints/{endpoint}/actions/start")
    assert engine.taken() == [("stop",), ("start", 10001)]
    local.clock.advance(1000)
    assert shown(local, endpoint)[0] == "UPDATING"
    engine.ready(endpoint, URL.replace("10001", "10002"))
    assert shown(local, endpoint)[:2] == ("ACTIVE", URL.replace("10001", "10002"))


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/_local/sqlEndpoints/{}/maintain", "POST", None),
        ("/sqlEndpoints/{}", "PUT", {"maxExecutorCount": 3}),
    ],
    ids=["maintenance", "update"],
)
def test_maintenance_and_update_replace_the_server(local, engine, endpoint, path, method, body):
    assert local.call(method, path.format(endpoint), body).status < 300
    assert shown(local, endpoint)[:2] == ("UPDATING", None)
    assert engine.taken() == [("stop",)]
    engine.ready(endpoint, URL)  # the old server, too late
    local.clock.advance(1000)
    assert shown(local, endpoint)[0] == "UPDATING"
    engine.ended(endpoint, "")
    assert engine.taken() == [("start", 10001)]
    engine.ready(endpoint, URL)
    assert shown(local, endpoint) == ("ACTIVE", URL, None)


def test_update_of_inactive_endpoint_starts_no_server(local, engine, endpoint):
    local.call("POST", f"/sqlEndpoints/{endpoint}/actions/stop")
    engine.ended(endpoint, "")
    local.clock.advance(1)
    engine.taken()
    local.call("PUT", f"/sqlEndpoints/{endpoint}", {"maxExecutorCount": 3})
    local.clock.advance(1)
    assert shown(local, endpoint)[0] == "INACTIVE"
    assert engine.taken() == []


def test_server_that_cannot_start_fails_endpoint_and_work_request(local, engine):
    response = local.call("POST", "/sqlEndpoints", SQL_ENDPOINT)
    endpoint = local.json("GET", f"/sqlEndpoints?compartmentId={COMPARTMENT}")["items"][0]["id"]
    engine.ended(endpoint, "The bucket does not exist.")
    assert shown(local, endpoint) == ("FAILED", None, "The bucket does not exist.")
    request = f"/workRequests/{response.headers['opc-work-request-id']}"
    found = local.json("GET", request)
    assert (found["status"], found["resources"][0]["actionType"]) == ("FAILED", "FAILED")
    assert [e["message"] for e in local.json("GET", f"{request}/errors")["items"]] == [
        "The bucket does not exist."
    ]
    local.clock.advance(1)
    assert shown(local, endpoint)[0] == "FAILED"
    local.call("DELETE", f"/sqlEndpoints/{endpoint}")
    local.clock.advance(1)
    assert shown(local, endpoint)[0] == "DELETED"


def test_server_that_dies_is_started_again(local, engine, endpoint):
    engine.ended(endpoint, "The Thrift server was killed by signal 9.")
    assert shown(local, endpoint) == ("UPDATING", None, "The Thrift server was killed by signal 9.")
    assert engine.taken() == [("start", 10001)]
    engine.ready(endpoint, URL)
    local.clock.advance(1)
    assert shown(local, endpoint)[:2] == ("ACTIVE", URL)
    assert work_requests(local) == [("CREATE_SQL_ENDPOINT", "SUCCEEDED")]
    local.call("POST", f"/sqlEndpoints/{endpoint}/actions/stop")
    assert shown(local, endpoint)[2] is None


@pytest.mark.parametrize("action", ["", "/actions/stop"], ids=["active", "stopping"])
def test_restarted_service_starts_the_servers_of_active_endpoints(local, engine, endpoint, action):
    if action:
        local.call("POST", f"/sqlEndpoints/{endpoint}{action}")
    other = SqlEngine()
    restarted = Local(local.folder, store=local.store, clock=local.clock, engine=other)
    assert other.taken() == ([] if action else [("start", 10001)])
    assert shown(restarted, endpoint)[:2] == ("UPDATING", None)
    if not action:
        other.ready(endpoint, URL)
    restarted.clock.advance(1)
    assert shown(restarted, endpoint)[:2] == (("INACTIVE", None) if action else ("ACTIVE", URL))


def test_service_with_another_engine_does_not_show_the_url_of_a_server(local, endpoint):
    restarted = Local(local.folder, store=local.store, clock=local.clock)
    state, url, _ = shown(restarted, endpoint)
    assert state == "ACTIVE"
    assert url is not None
    assert ".invalid:443/" in url


def test_reset_ends_servers_and_waits_for_them(local, engine, endpoint):
    body = local.service.reset()
    assert engine.taken() == [("stop",)]
    assert local.service.lifecycle.forgotten == {endpoint}
    engine.ended(endpoint, "")
    assert engine.taken() == [("forget",)]
    assert local.service.lifecycle.forgotten == set()
    assert b"".join(body) == b"{}"
    assert local.json("GET", f"/sqlEndpoints?sqlEndpointId={endpoint}")["items"] == []
