"""All operations of both clients with malformed responses."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dataflow.client.applications import ApplicationClient
from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.connection_diagnosis import clock_skew
from airflow_provider_dataflow.client.pools import PoolClient
from airflow_provider_dataflow.client.responses import MAX_MESSAGE_LENGTH, Pages
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.client.sql_endpoints import SqlEndpointClient
from airflow_provider_dataflow.client.statements import StatementClient
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import ServiceError, UnexpectedResponse
from airflow_provider_dataflow.models.application import Application, ApplicationDetails
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.pool import Pool, PoolDetails
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.models.run import Run, RunLog
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpointDetails
from airflow_provider_dataflow.models.statement import Statement, StatementDetails
from airflow_provider_dataflow.models.usage import Usage
from tests.unit.hostile import INVALID_VALUES, NO_RESOURCE, HostileService, response, runs_with_invalid_fields
from tests.unit.support import APPLICATION_ID, COMPARTMENT_ID, RUN_ID, run_body

POOL_ID = "ocid1.dataflowpool.oc1.iad.aaaa"
SQL_ENDPOINT_ID = "ocid1.dataflowsqlendpoint.oc1.iad.aaaa"
REQUEST = RunRequest.build({"application_id": APPLICATION_ID, "compartment_id": COMPARTMENT_ID})

#: Operations that read a resource or a list, by the name of the method.
SYNC_READS: dict[str, Callable[[DataFlowClient], Any]] = {
    "create_run": lambda client: client.create_run(REQUEST, "token"),
    "get_run": lambda client: client.get_run(RUN_ID),
    "get_run_with_etag": lambda client: client.get_run_with_etag(RUN_ID),
    "list_runs": lambda client: list(client.list_runs(COMPARTMENT_ID)),
    "update_run": lambda client: client.update_run(RUN_ID, {}),
    "list_run_logs": lambda client: client.list_run_logs(RUN_ID),
    "applications.create": lambda client: client.applications.create(ApplicationDetails(), "token"),
    "applications.get": lambda client: client.applications.get(APPLICATION_ID),
    "applications.get_with_etag": lambda client: client.applications.get_with_etag(APPLICATION_ID),
    "applications.list": lambda client: list(client.applications.list(COMPARTMENT_ID)),
    "applications.named": lambda client: client.applications.named(COMPARTMENT_ID, "x"),
    "applications.update": lambda client: client.applications.update(APPLICATION_ID, {}),
    "pools.create": lambda client: client.pools.create(PoolDetails(), "token"),
    "pools.get": lambda client: client.pools.get(POOL_ID),
    "pools.get_with_etag": lambda client: client.pools.get_with_etag(POOL_ID),
    "pools.list": lambda client: list(client.pools.list(COMPARTMENT_ID)),
    "pools.named": lambda client: client.pools.named(COMPARTMENT_ID, "x"),
    "sql_endpoints.create": lambda client: client.sql_endpoints.create(SqlEndpointDetails(), "token"),
    "sql_endpoints.get": lambda client: client.sql_endpoints.get(SQL_ENDPOINT_ID),
    "sql_endpoints.get_with_etag": lambda client: client.sql_endpoints.get_with_etag(SQL_ENDPOINT_ID),
    "sql_endpoints.list": lambda client: list(client.sql_endpoints.list(COMPARTMENT_ID)),
    "sql_endpoints.named": lambda client: client.sql_endpoints.named(COMPARTMENT_ID, "x"),
    "statements.create": lambda client: client.statements.create(RUN_ID, StatementDetails(code="1")),
    "statements.get": lambda client: client.statements.get(RUN_ID, 1),
    "statements.list": lambda client: list(client.statements.list(RUN_ID)),
}
#: Operations that read the status only.
SYNC_ACTIONS: dict[str, Callable[[DataFlowClient], Any]] = {
    "change_run_compartment": lambda client: client.change_run_compartment(RUN_ID, COMPARTMENT_ID),
    "cancel_run": lambda client: client.cancel_run(RUN_ID),
    "get_run_log": lambda client: list(client.get_run_log(RUN_ID, "x")),
    "applications.delete": lambda client: client.applications.delete(APPLICATION_ID),
    "applications.change_compartment": lambda client: client.applications.change_compartment(
        APPLICATION_ID, COMPARTMENT_ID
    ),
    "pools.update": lambda client: client.pools.update(POOL_ID, {}),
    "pools.start": lambda client: client.pools.start(POOL_ID),
    "pools.stop": lambda client: client.pools.stop(POOL_ID),
    "pools.delete": lambda client: client.pools.delete(POOL_ID),
    "pools.change_compartment": lambda client: client.pools.change_compartment(POOL_ID, COMPARTMENT_ID),
    "sql_endpoints.update": lambda client: client.sql_endpoints.update(SQL_ENDPOINT_ID, {}),
    "sql_endpoints.start": lambda client: client.sql_endpoints.start(SQL_ENDPOINT_ID),
    "sql_endpoints.stop": lambda client: client.sql_endpoints.stop(SQL_ENDPOINT_ID),
    "sql_endpoints.delete": lambda client: client.sql_endpoints.delete(SQL_ENDPOINT_ID),
    "sql_endpoints.change_compartment": lambda client: client.sql_endpoints.change_compartment(
        SQL_ENDPOINT_ID, COMPARTMENT_ID
    ),
    "statements.cancel": lambda client: client.statements.cancel(RUN_ID, 1),
}


async def read_log(client: AsyncDataFlowClient) -> bytes:
    return b"".join([chunk async for chunk in client.get_run_log(RUN_ID, "x")])


ASYNC_READS: dict[str, Callable[[AsyncDataFlowClient], Any]] = {
    "get_run": lambda client: client.get_run(RUN_ID),
    "get_pool": lambda client: client.get_pool(POOL_ID),
    "get_sql_endpoint": lambda client: client.get_sql_endpoint(SQL_ENDPOINT_ID),
    "get_statement": lambda client: client.get_statement(RUN_ID, 1),
    "list_run_logs": lambda client: client.list_run_logs(RUN_ID),
    "list_runs_page": lambda client: client.list_runs_page(COMPARTMENT_ID, limit=10),
}
ASYNC_ACTIONS: dict[str, Callable[[AsyncDataFlowClient], Any]] = {"get_run_log": read_log}


#: Methods that send any request.
REQUEST_METHODS = {name for name in vars(SdkRequests) if not name.startswith("_")}


def methods(kind: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name not in REQUEST_METHODS
    }


def test_every_operation_is_tested():
    sync = methods(DataFlowClient) | {
        f"{prefix}.{name}"
        for prefix, kind in (
            ("applications", ApplicationClient),
            ("pools", PoolClient),
            ("sql_endpoints", SqlEndpointClient),
            ("statements", StatementClient),
        )
        for name in methods(kind)
    }
    assert sync == SYNC_READS.keys() | SYNC_ACTIONS.keys()
    assert methods(AsyncDataFlowClient) - {"close"} == ASYNC_READS.keys() | ASYNC_ACTIONS.keys()


@pytest.fixture(scope="module")
def service() -> Iterator[HostileService]:
    service = HostileService(lambda method, path: b"")
    yield service
    service.close()


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))


@pytest.fixture
def access(service, key_fields) -> Access:
    return Access(ApiKey(**key_fields), "us-ashburn-1", service.url)


def respond_with(service: HostileService, data: bytes) -> None:
    service.respond = lambda method, path: data


@pytest.mark.parametrize("call", SYNC_READS)
def test_sync_reads_raise_service_errors_only(service, access, call):
    client = DataFlowClient(access)
    for name, data in NO_RESOURCE.items():
        respond_with(service, data)
        with pytest.raises(ServiceError) as caught:
            SYNC_READS[call](client)
        check_error(caught.value, name)


@pytest.mark.parametrize("call", SYNC_ACTIONS)
def test_sync_actions_raise_service_errors_only(service, access, call):
    client = DataFlowClient(access)
    for name, data in NO_RESOURCE.items():
        respond_with(service, data)
        try:
            SYNC_ACTIONS[call](client)
        except ServiceError as error:
            check_error(error, name)
        else:
            assert has_good_status(data), name


@pytest.mark.parametrize("call", ASYNC_READS)
async def test_async_reads_raise_service_errors_only(service, access, call):
    async with await AsyncDataFlowClient.create(lambda: access) as client:
        for name, data in NO_RESOURCE.items():
            respond_with(service, data)
            with pytest.raises(ServiceError) as caught:
                await ASYNC_READS[call](client)
            check_error(caught.value, name)


@pytest.mark.parametrize("call", ASYNC_ACTIONS)
async def test_async_actions_raise_service_errors_only(service, access, call):
    async with await AsyncDataFlowClient.create(lambda: access) as client:
        for name, data in NO_RESOURCE.items():
            respond_with(service, data)
            try:
                await ASYNC_ACTIONS[call](client)
            except ServiceError as error:
                check_error(error, name)
            else:
                assert has_good_status(data), name


def has_good_status(data: bytes) -> bool:
    return data.startswith((b"HTTP/1.0 2", b"HTTP/1.1 2"))


def check_error(error: ServiceError, name: str) -> None:
    """Check that the error counts against the error budget, and can be logged and stored."""
    assert error.is_transient or error.may_be_stray, name
    assert len(str(error)) < MAX_MESSAGE_LENGTH + 1000
    for text in (str(error), error.code, error.opc_request_id, error.date):
        assert text is None or ("\0" not in text and text.encode()), name
    assert error.retry_after is None
    clock_skew(error.date)


def test_repeated_page_token_is_refused(service, access):
    respond_with(service, response([run_body()], headers="opc-next-page: again\r\n"))
    with pytest.raises(ServiceError, match="was returned twice"):
        list(DataFlowClient(access).list_runs(COMPARTMENT_ID))
    assert Pages().next("") is None


async def test_endless_body_is_refused(service, access, mocker):
    mocker.patch("airflow_provider_dataflow.client.async_client.MAX_BODY_BYTES", 1000)
    respond_with(service, response(run_body(note="x" * 2000)))
    async with await AsyncDataFlowClient.create(lambda: access) as client:
        with pytest.raises(UnexpectedResponse, match="more than 1000 bytes"):
            await client.get_run(RUN_ID)


def test_arguments_that_the_sdk_refuses_raise_its_error(access):
    with pytest.raises(ValueError, match="runId"):
        DataFlowClient(access).get_run("")


def test_submit_with_malformed_response_is_retried_with_its_token(service, access, monkeypatch):
    # The service closes its connection after a response, which may cost the next request an attempt.
    policy = RetryPolicy(max_attempts=5, sleep=lambda seconds: None)
    monkeypatch.setattr(SdkRequests, "retry_policy", policy)
    answers = [response("<html>"), response({"id": 5}), response(run_body())]
    service.respond = lambda method, path: answers.pop(0)
    assert DataFlowClient(access).create_run(REQUEST, "token").id == RUN_ID


# --- Decoding -------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", [Run, Application, Pool, Statement])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_resource_with_any_values_is_usable_or_refused(kind: type[Resource], data):
    names = [api_name(f) for f in fields(kind) if f.name != "raw"]  # type: ignore[arg-type]
    body = {"id": 1 if kind is Statement else RUN_ID, "lifecycleState": "IN_PROGRESS"}
    body |= data.draw(st.dictionaries(st.sampled_from(names), json_values | st.just("2026-01-01T00:00:00Z")))
    try:
        resource = kind.from_api(body)
    except ValueError:
        return
    use(resource)


@pytest.mark.parametrize("seed", range(3))
def test_run_with_invalid_fields_is_usable_or_refused(seed):
    for body in runs_with_invalid_fields(seed, 100):
        try:
            run = Run.from_api(json.loads(body))
        except ValueError:
            continue
        use(run)


def use(resource: Any) -> None:
    """Use a resource as the rest of the package does."""
    assert isinstance(resource.state, str)
    json.dumps(resource.attributes(), default=datetime.isoformat, allow_nan=False).encode()
    repr(resource).encode()
    if isinstance(resource, Run):
        assert resource.is_terminal in (True, False)
        str(Usage.of(resource))
        resource.attributes(hide_secrets=True)
    if isinstance(resource, Statement) and resource.result:
        assert "".join(resource.result.traceback) is not None


@pytest.mark.parametrize("value", [value for value in INVALID_VALUES if value != "x"])
def test_malformed_state_is_refused(value):
    with pytest.raises(ValueError, match="the response is no run"):
        Run.from_api(run_body(value))


def test_statement_output_is_read_whatever_it_contains():
    output = {"status": "OK", "data": {"type": "TEXT_PLAIN", "value": "a\0b\ud800"}}
    statement = Statement.from_api({"id": 1, "lifecycleState": "SUCCEEDED", "output": output})
    assert statement.result
    assert statement.result.value == "a\ufffdb?"


@pytest.mark.parametrize("body", [None, 5, [], {}, {"name": 5}, {"name": "x", "sizeInBytes": "many"}])
def test_invalid_log_is_refused(body):
    with pytest.raises(ValueError, match=r"no log|expected"):
        RunLog.from_api(body)


def test_errors_of_signing_are_not_unexpected_responses(access):
    """No request was sent."""

    async def main() -> None:
        async with await AsyncDataFlowClient.create(lambda: access) as client:
            client._signer = None  # type: ignore[assignment]
            with pytest.raises(ServiceError, match="AttributeError"):
                await client.get_run(RUN_ID)

    asyncio.run(main())
