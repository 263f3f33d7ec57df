"""SQL endpoints through the real SDK: the API, the hook, and the operators in the worker and deferred."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import oci
import pytest

from airflow_provider_dataflow.exceptions import (
    AmbiguousName,
    DataFlowError,
    InvalidArgument,
    ServiceError,
    SqlEndpointFailed,
    SqlEndpointLost,
    SqlEndpointTimedOut,
)
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.sql_endpoint import (
    CreateOrUpdateSqlEndpointOperator,
    DeleteSqlEndpointOperator,
    StartSqlEndpointOperator,
    StopSqlEndpointOperator,
)
from tests.contract.conftest import Target, target_of
from tests.contract.tasks import run_task
from tests.unit.support import FakeTaskInstance

models = oci.data_flow.models
OTHER_COMPARTMENT = "ocid1.compartment.oc1..other"
ARGUMENTS: dict[str, Any] = {
    "display_name": "sql",
    "driver_shape": "VM.Standard.E4.Flex",
    "driver_shape_config": {"ocpus": 1, "memory_in_gbs": "16"},
    "executor_shape": "VM.Standard.E4.Flex",
    "lake_id": "ocid1.datalake.oc1..aaaa",
    "log_group_id": "ocid1.loggroup.oc1..aaaa",
    "max_executor_count": "2",
    "metastore_id": "ocid1.datacatalogmetastore.oc1..aaaa",
    "min_executor_count": 1,
    "network_configuration": {
        "network_type": "SECURE_ACCESS",
        "access_control_rules": [{"ip_notation": "CIDR", "value": "10.0.0.0/16"}],
    },
    "sql_endpoint_version": "3.5.0",
    "warehouse_bucket_uri": "oci://warehouse@ns/",
}


@pytest.fixture
def local(clock_of_waits: DataFlowFixture) -> DataFlowFixture:
    return clock_of_waits


@pytest.fixture
def target(local: DataFlowFixture) -> Target:
    return target_of(local)


def create(**kwargs: Any) -> CreateOrUpdateSqlEndpointOperator:
    return CreateOrUpdateSqlEndpointOperator(task_id="create", **ARGUMENTS | {"poll_interval": 0.01} | kwargs)


def on(kind: Any, endpoint_id: str, **kwargs: Any) -> Any:
    return kind(task_id="endpoint", sql_endpoint_id=endpoint_id, **{"poll_interval": 0.01} | kwargs)


def endpoint(target: Target, endpoint_id: str) -> Any:
    return target.client.get_sql_endpoint(endpoint_id).data


def state(target: Target, endpoint_id: str) -> str:
    found: str = endpoint(target, endpoint_id).lifecycle_state
    return found


def test_sdk_creates_updates_stops_starts_moves_and_deletes(local, target):
    client = target.client
    details = models.CreateSqlEndpointDetails(
        compartment_id=target.compartment_id,
        display_name="contract",
        driver_shape="VM.Standard2.1",
        executor_shape="VM.Standard2.1",
        lake_id=ARGUMENTS["lake_id"],
        max_executor_count=2,
        metastore_id=ARGUMENTS["metastore_id"],
        min_executor_count=1,
        network_configuration=models.SqlEndpointVcnConfig(
            vcn_id="ocid1.vcn.oc1..aaaa", subnet_id="ocid1.subnet.oc1..aaaa"
        ),
        sql_endpoint_version="3.5.0",
        warehouse_bucket_uri="oci://warehouse@ns/",
    )
    created = client.create_sql_endpoint(details)
    assert (created.status, created.data.lifecycle_state) == (202, "CREATING")
    id_ = created.data.id

    def done(response: Any) -> None:
        assert response.status == 202
        local.advance(1)
        request = client.get_work_request(response.headers["opc-work-request-id"]).data
        assert (request.status, request.resources[0].resource_id) == ("SUCCEEDED", id_)

    done(created)
    found = client.get_sql_endpoint(id_)
    assert isinstance(found.data.network_configuration, models.SqlEndpointVcnConfig)
    assert found.data.jdbc_endpoint_url
    update = models.UpdateSqlEndpointDetails(description="changed", log_operation="ENABLE")
    done(client.update_sql_endpoint(update, id_, if_match=found.headers["etag"]))
    assert endpoint(target, id_).description == "changed"
    done(client.stop_sql_endpoint(id_))
    assert state(target, id_) == "INACTIVE"
    done(client.start_sql_endpoint(id_))
    assert state(target, id_) == "ACTIVE"
    (summary,) = client.list_sql_endpoints(sql_endpoint_id=id_).data.items
    assert (summary.id, summary.lifecycle_state) == (id_, "ACTIVE")
    moved = models.ChangeSqlEndpointCompartmentDetails(compartment_id=OTHER_COMPARTMENT)
    done(client.change_sql_endpoint_compartment(id_, moved))
    done(client.delete_sql_endpoint(id_))
    assert state(target, id_) == "DELETED"


def test_hook_lists_updates_and_moves(local, target):
    id_ = run_task(create)
    endpoints = DataFlowHook().sql_endpoints
    compartment = target.compartment_id
    assert [e.id for e in endpoints.list(compartment, display_name="sql", lifecycle_state="ACTIVE")] == [id_]
    assert list(endpoints.list(compartment, lifecycle_state="INACTIVE")) == []
    with pytest.raises(InvalidArgument, match="nonsense: unknown filter"):
        endpoints.list(compartment, nonsense="a")
    found, etag = endpoints.get_with_etag(id_)
    assert found.network_configuration["networkType"] == "SECURE_ACCESS"
    with pytest.raises(ServiceError, match="412"):
        endpoints.update(id_, {"description": "x"}, if_match="other")
    endpoints.update(id_, {"logOperation": "DISABLE"}, if_match=etag)
    local.advance(1)
    endpoints.change_compartment(id_, OTHER_COMPARTMENT)
    local.advance(1)
    assert endpoints.get(id_).compartment_id == OTHER_COMPARTMENT
    assert endpoints.named(compartment, "sql") is None


def test_endpoint_is_created_stopped_started_and_deleted(local, target, deferrable):
    deferrals: list[str] = []
    ti = FakeTaskInstance()

    def done(operator: Callable[[], Any], ti: FakeTaskInstance | None = None) -> Any:
        return run_task(operator, ti, deferrals=deferrals)

    id_ = done(lambda: create(deferrable=deferrable), ti)
    assert (ti.xcoms["sql_endpoint_id"], state(target, id_)) == (id_, "ACTIVE")
    assert ti.xcoms["jdbc_endpoint_url"] == endpoint(target, id_).jdbc_endpoint_url
    done(lambda: on(StopSqlEndpointOperator, id_, deferrable=deferrable))
    assert state(target, id_) == "INACTIVE"
    ti = FakeTaskInstance()
    done(lambda: on(StartSqlEndpointOperator, id_, deferrable=deferrable), ti)
    assert state(target, id_) == "ACTIVE"
    assert ti.xcoms["jdbc_endpoint_url"]
    assert done(lambda: on(DeleteSqlEndpointOperator, id_, deferrable=deferrable)) == id_
    assert state(target, id_) == "DELETED"
    assert deferrals == ["SqlEndpointTrigger"] * (4 if deferrable else 0)
    local.assert_requests(CreateSqlEndpoint=1, StopSqlEndpoint=1, StartSqlEndpoint=1, DeleteSqlEndpoint=1)


def test_nothing_is_sent_if_state_is_reached(local, target, capsys):
    id_ = run_task(create)
    assert run_task(create) == id_
    run_task(lambda: on(StartSqlEndpointOperator, id_))
    for kind in (StopSqlEndpointOperator, DeleteSqlEndpointOperator):
        run_task(lambda kind=kind: on(kind, id_))
        run_task(lambda kind=kind: on(kind, id_))
    run_task(lambda: on(StopSqlEndpointOperator, id_))
    local.assert_requests(
        CreateSqlEndpoint=1,
        UpdateSqlEndpoint=0,
        StartSqlEndpoint=0,
        StopSqlEndpoint=1,
        DeleteSqlEndpoint=1,
    )
    log = capsys.readouterr().out
    assert "already exists and is ACTIVE" in log
    assert "is INACTIVE: nothing to stop" in log
    assert "is DELETED: nothing to stop" in log
    # A deleted endpoint of the same name is not used.
    assert run_task(create, FakeTaskInstance(try_number=2)) != id_


def test_existing_endpoint_is_updated_once_and_started(local, target, deferrable, capsys):
    id_ = run_task(create)
    run_task(lambda: on(StopSqlEndpointOperator, id_))
    changed = {"max_executor_count": 4, "description": "larger", "deferrable": deferrable}
    assert run_task(lambda: create(**changed)) == id_
    found = endpoint(target, id_)
    assert (found.lifecycle_state, found.max_executor_count) == ("ACTIVE", 4)
    local.assert_requests(CreateSqlEndpoint=1, UpdateSqlEndpoint=1, StartSqlEndpoint=1)
    assert "update of description, max_executor_count requested" in capsys.readouterr().out


def test_update_that_the_service_ignores_is_not_repeated(local, target, deferrable):
    id_ = run_task(create)
    # The response has the old value, as if the service had normalized the new one.
    body = endpoint(target, id_)
    local.clear_journal()

    def ignored() -> Any:
        return create(description="ignored", deferrable=deferrable)

    def restore() -> None:
        target.client.update_sql_endpoint(models.UpdateSqlEndpointDetails(description="other"), id_)

    assert body.description is None
    run_task(ignored, while_deferred=lambda: (local.advance(1), restore()))
    assert state(target, id_) == "ACTIVE"
    # One of this test and one of the task.
    local.assert_requests(UpdateSqlEndpoint=2 if deferrable else 1)


def test_concurrent_change_repeats_the_update(local, target):
    id_ = run_task(create)
    local.add_fault("status", status=412, code="NoEtagMatch", operation="UpdateSqlEndpoint", count=1)
    run_task(lambda: create(description="new"))
    assert endpoint(target, id_).description == "new"


def test_maintenance_delays_a_stop_and_an_update(local, target, deferrable):
    id_ = run_task(create)
    local.maintain_sql_endpoint(id_)
    assert state(target, id_) == "UPDATING"
    run_task(lambda: create(description="after maintenance", deferrable=deferrable))
    assert endpoint(target, id_).description == "after maintenance"
    local.maintain_sql_endpoint(id_)
    run_task(lambda: on(StopSqlEndpointOperator, id_, deferrable=deferrable))
    assert state(target, id_) == "INACTIVE"
    with pytest.raises(RuntimeError, match="INACTIVE"):
        local.maintain_sql_endpoint(id_)


def test_maintenance_that_starts_after_the_endpoint_was_read(local, target):
    id_ = run_task(create)
    local.add_fault("status", status=409, code="IncorrectState", operation="StopSqlEndpoint", count=1)
    run_task(lambda: on(StopSqlEndpointOperator, id_))
    assert state(target, id_) == "INACTIVE"


def test_lasting_refusal_ends_at_timeout(local, target):
    id_ = run_task(create)
    local.add_fault("status", status=409, code="Conflict", operation="StopSqlEndpoint")
    ti = FakeTaskInstance(start_date=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(SqlEndpointTimedOut, match="409"):
        run_task(lambda: on(StopSqlEndpointOperator, id_), ti)


def test_without_wait_only_the_request_is_sent(local, target):
    id_ = run_task(lambda: create(wait_for_completion=False))
    assert state(target, id_) == "CREATING"
    local.advance(1)
    run_task(lambda: on(DeleteSqlEndpointOperator, id_, wait_for_completion=False))
    assert state(target, id_) == "DELETING"


def test_deleted_endpoint_cannot_be_started(local, deferrable):
    id_ = run_task(create)
    run_task(lambda: on(DeleteSqlEndpointOperator, id_))
    with pytest.raises(SqlEndpointFailed, match="cannot be started"):
        run_task(lambda: on(StartSqlEndpointOperator, id_, deferrable=deferrable))


def test_endpoint_unknown_after_delete_counts_as_deleted(local, target, deferrable):
    id_ = run_task(create)
    local.clear_journal()
    local.add_fault("status", status=404, operation="GetSqlEndpoint", after=1)
    run_task(lambda: on(DeleteSqlEndpointOperator, id_, deferrable=deferrable))
    local.clear_faults()
    assert state(target, id_) in ("DELETING", "DELETED")


def test_unknown_endpoint_fails_unless_ignored(local):
    unknown = "ocid1.dataflowsqlendpoint.oc1..nope"
    with pytest.raises(ServiceError, match="404"):
        run_task(lambda: on(DeleteSqlEndpointOperator, unknown))
    run_task(lambda: on(DeleteSqlEndpointOperator, unknown, ignore_if_missing=True))
    with pytest.raises(InvalidArgument, match="sql_endpoint_id: expected an OCID"):
        run_task(lambda: on(StartSqlEndpointOperator, "sql"))


def test_two_endpoints_of_the_name_are_ambiguous(local):
    run_task(create)
    (first,) = DataFlowHook().sql_endpoints.list(local.compartment_id)
    details = create()._details()
    DataFlowHook().sql_endpoints.create(details, "another token")
    with pytest.raises(AmbiguousName, match=first.id):
        run_task(create)


def test_wait_ends_at_timeout(local, deferrable):
    ti = FakeTaskInstance(start_date=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(SqlEndpointTimedOut) as caught:
        run_task(lambda: create(deferrable=deferrable), ti)
    assert (caught.value.state, caught.value.sql_endpoint_id) == ("CREATING", ti.xcoms["sql_endpoint_id"])


def test_wait_ends_after_error_budget(local, deferrable):
    id_ = run_task(create)

    def outage() -> Any:
        local.add_fault("status", status=404, operation="GetSqlEndpoint", after=1)
        return on(StopSqlEndpointOperator, id_, error_budget=0.001, deferrable=deferrable)

    with pytest.raises(SqlEndpointLost, match="404"):
        run_task(outage)


def test_wait_tolerates_outage(local, target, deferrable):
    id_ = run_task(create)
    local.add_fault("status", status=503, operation="GetSqlEndpoint", after=1, count=7)
    run_task(lambda: on(StopSqlEndpointOperator, id_, deferrable=deferrable))
    assert state(target, id_) == "INACTIVE"


def test_kill_ends_the_wait_and_leaves_the_endpoint(local, target):
    id_ = run_task(create)
    task = on(StopSqlEndpointOperator, id_)
    task.on_kill()
    with pytest.raises(DataFlowError, match="killed"):
        run_task(lambda: task)
    local.advance(1)
    assert state(target, id_) == "INACTIVE"
