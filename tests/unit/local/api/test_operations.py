"""Comparison of the routes and the fields of requests and responses with the SDK."""

from __future__ import annotations

import inspect

import oci
import pytest

from airflow_provider_dataflow.local.api import (
    applications,
    pools,
    private_endpoints,
    request_bodies,
    runs,
    sql_endpoints,
    statements,
    work_requests,
)
from airflow_provider_dataflow.local.cli.client_config import sdk_config
from airflow_provider_dataflow.local.http.keys import new_identity
from airflow_provider_dataflow.local.http.messages import split_path

models = oci.data_flow.models


def operations() -> list[tuple[str, str, str]]:
    """Return name, method and path of every operation of the SDK's client, by calling each of them."""
    config = sdk_config(new_identity())
    client = oci.data_flow.DataFlowClient(config, service_endpoint="http://127.0.0.1:1")
    called: list[tuple[str, str]] = []
    client.base_client.call_api = lambda resource_path, method, **kwargs: called.append(
        (method, resource_path)
    )
    found = []
    for name, function in inspect.getmembers(type(client), inspect.isfunction):
        if name.startswith("_") or "retry_strategy" not in (function.__doc__ or ""):
            continue
        required = [
            p for p in list(inspect.signature(function).parameters.values())[1:] if p.kind != p.VAR_KEYWORD
        ]
        function(client, *["x"] * len(required), retry_strategy=oci.retry.NoneRetryStrategy())
        method, path = called.pop()
        found.append((name, method, path))
    return found


OPERATIONS = operations()


def test_sdk_has_45_operations():
    assert len(OPERATIONS) == 45


@pytest.mark.parametrize(("name", "method", "path"), OPERATIONS, ids=[o[0] for o in OPERATIONS])
def test_every_sdk_operation_has_a_route(local, name, method, path):
    route, _ = local.service._api.find(method, split_path(path.replace("{", "").replace("}", "")))
    assert route.operation == "".join(part.capitalize() for part in name.split("_"))


def test_every_route_is_an_sdk_operation(local):
    ours = {route.operation for routes in local.service._api._routes.values() for _, route in routes}
    assert ours == {"".join(part.capitalize() for part in name.split("_")) for name, _, _ in OPERATIONS}


def wire_names(model: type) -> set[str]:
    return set(model().attribute_map.values())


@pytest.mark.parametrize(
    ("model", "ours"),
    [
        (models.Run, runs.FIELDS),
        (models.RunSummary, runs.SUMMARY_FIELDS),
        (models.Application, applications.FIELDS),
        (models.ApplicationSummary, applications.SUMMARY_FIELDS),
        (models.Pool, pools.PoolsApi.fields),
        (models.PoolSummary, pools.PoolsApi.summary_fields),
        (models.PrivateEndpoint, private_endpoints.PrivateEndpointsApi.fields),
        (models.PrivateEndpointSummary, private_endpoints.PrivateEndpointsApi.summary_fields),
        (models.SqlEndpoint, sql_endpoints.FIELDS),
        (models.SqlEndpointSummary, sql_endpoints.SUMMARY_FIELDS),
        (models.Statement, statements.FIELDS),
        (models.StatementSummary, statements.SUMMARY_FIELDS),
        (models.WorkRequest, work_requests.FIELDS),
        (models.WorkRequestSummary, work_requests.FIELDS),
        (models.WorkRequestLog, work_requests.LOG_FIELDS),
        (models.WorkRequestError, work_requests.ERROR_FIELDS),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_response_fields_are_those_of_the_sdk(model, ours):
    assert set(ours) == wire_names(model)
    assert len(ours) == len(set(ours))


@pytest.mark.parametrize(
    ("model", "ours"),
    [
        (models.CreatePoolDetails, request_bodies.CREATE_POOL),
        (models.UpdatePoolDetails, request_bodies.UPDATE_POOL),
        (models.CreatePrivateEndpointDetails, request_bodies.CREATE_PRIVATE_ENDPOINT),
        (models.UpdatePrivateEndpointDetails, request_bodies.UPDATE_PRIVATE_ENDPOINT),
        (models.CreateSqlEndpointDetails, request_bodies.CREATE_SQL_ENDPOINT),
        (models.UpdateSqlEndpointDetails, request_bodies.UPDATE_SQL_ENDPOINT),
        (models.CreateStatementDetails, request_bodies.CREATE_STATEMENT),
        (models.ChangePoolCompartmentDetails, request_bodies.CHANGE_COMPARTMENT),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_accepted_fields_are_those_of_the_sdk(model, ours):
    assert set(ours.checks) == wire_names(model)
