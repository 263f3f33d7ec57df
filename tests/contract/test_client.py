"""Operations of the client through the real SDK."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.conditional_update import update_if_different
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import AmbiguousName, InvalidArgument, ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.application import ApplicationDetails
from airflow_provider_dataflow.models.pool import PoolDetails
from airflow_provider_dataflow.models.statement import StatementDetails
from tests.contract.conftest import Target, target_of

OTHER_COMPARTMENT = "ocid1.compartment.oc1..other"


@pytest.fixture
def local(manual_clock: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    return manual_clock


@pytest.fixture
def target(local: DataFlowFixture) -> Target:
    return target_of(local)


@pytest.fixture
def hook(local: DataFlowFixture) -> DataFlowHook:
    return DataFlowHook()


def application(local, **changes) -> ApplicationDetails:
    details = {
        "compartment_id": local.compartment_id,
        "display_name": "nightly",
        "driver_shape": "VM.Standard2.1",
        "executor_shape": "VM.Standard2.1",
        "language": "PYTHON",
        "num_executors": 1,
        "spark_version": "3.5.0",
        "file_uri": "oci://data@ns/hello.py",
    }
    return ApplicationDetails.build(details | changes)


def pool(local, **changes) -> PoolDetails:
    details = {
        "compartment_id": local.compartment_id,
        "display_name": "warm",
        "configurations": [{"shape": "VM.Standard2.1", "min": 1, "max": 2}],
    }
    return PoolDetails.build(details | changes)


def test_application_is_created_updated_moved_and_deleted(local, hook):
    applications = hook.applications
    local.add_fault("lost_response", operation="CreateApplication", count=1)
    created = applications.create(application(local, parameters={"day": 1}), "token")
    assert applications.get(created.id) == created
    assert [found.id for found in applications.list(local.compartment_id)] == [created.id]
    assert applications.named(local.compartment_id, "nightly").id == created.id
    assert applications.named(local.compartment_id, "night") is None

    details = application(local, parameters={"day": 1}, num_executors=2)
    current, changes = update_if_different(
        lambda: applications.get_with_etag(created.id),
        lambda found: details.differences(found.raw),
        lambda changes, etag: applications.update(created.id, changes, if_match=etag),
    )
    assert (current.num_executors, changes) == (1, {"numExecutors": 2})
    updated = applications.get(created.id)
    assert updated.num_executors == 2
    assert details.differences(updated.raw) == {}

    applications.change_compartment(created.id, OTHER_COMPARTMENT)
    assert applications.get(created.id).compartment_id == OTHER_COMPARTMENT
    local.add_fault("lost_response", operation="DeleteApplication", count=1)
    applications.delete(created.id)
    assert applications.get(created.id).state == "DELETED"
    assert applications.named(OTHER_COMPARTMENT, "nightly") is None


def test_ambiguous_name_is_refused(local, hook):
    ids = {hook.applications.create(application(local), f"token {n}").id for n in range(2)}
    with pytest.raises(AmbiguousName) as caught:
        hook.applications.named(local.compartment_id, "nightly")
    assert set(caught.value.ids) == ids
    assert all(id_ in str(caught.value) for id_ in ids)


def test_concurrent_update_is_not_overwritten(local, hook):
    applications = hook.applications
    created = applications.create(application(local, freeform_tags={"a": "1"}), "token")
    others = iter([{"numExecutors": 3}])

    def differences(found):
        # Another update comes first, once.
        for change in others:
            applications.update(created.id, change)
        return {"freeformTags": {**found.freeform_tags, "executors": str(found.num_executors)}}

    update_if_different(
        lambda: applications.get_with_etag(created.id),
        differences,
        lambda changes, etag: applications.update(created.id, changes, if_match=etag),
    )
    assert applications.get(created.id).freeform_tags == {"a": "1", "executors": "3"}


def test_conditional_update_gives_up_on_constant_changes(local, hook):
    created = hook.applications.create(application(local), "token")

    def differences(found):
        hook.applications.update(created.id, {"numExecutors": found.num_executors + 1})
        return {"description": "x"}

    with pytest.raises(ServiceError, match="412"):
        update_if_different(
            lambda: hook.applications.get_with_etag(created.id),
            differences,
            lambda changes, etag: hook.applications.update(created.id, changes, if_match=etag),
        )


def test_lists_accept_one_known_filter(local, hook):
    with pytest.raises(InvalidArgument, match="ListApplications accepts one filter"):
        hook.applications.list(local.compartment_id, display_name="a", spark_version="3.5.0")
    with pytest.raises(InvalidArgument, match="unknown filter"):
        hook.pools.list(local.compartment_id, nonsense="a")


def test_pool_is_created_updated_started_stopped_and_deleted(local, hook):
    pools = hook.pools
    local.add_fault("lost_response", operation="CreatePool", count=1)
    created = pools.create(pool(local), "token")
    assert len(list(pools.list(local.compartment_id))) == 1
    assert created.state == "ACCEPTED"

    def comes_to_be(state):
        local.advance(60)
        found = pools.get(created.id)
        assert found.state == state
        return found

    assert comes_to_be("ACTIVE").configurations == [{"shape": "VM.Standard2.1", "min": 1, "max": 2}]
    _, etag = pools.get_with_etag(created.id)
    pools.update(created.id, {"description": "x"}, if_match=etag)
    comes_to_be("ACTIVE")
    with pytest.raises(ServiceError, match="412"):
        pools.update(created.id, {"description": "y"}, if_match=etag)
    # The retry token makes the second request a repetition.
    local.add_fault("lost_response", operation="StopPool", count=1)
    pools.stop(created.id)
    comes_to_be("STOPPED")
    local.add_fault("lost_response", operation="StartPool", count=1)
    pools.start(created.id)
    comes_to_be("ACTIVE")
    pools.stop(created.id)
    comes_to_be("STOPPED")
    pools.change_compartment(created.id, OTHER_COMPARTMENT)
    assert comes_to_be("STOPPED").compartment_id == OTHER_COMPARTMENT
    assert pools.named(OTHER_COMPARTMENT, "warm").id == created.id
    pools.delete(created.id)
    comes_to_be("DELETED")
    assert pools.named(OTHER_COMPARTMENT, "warm") is None


def test_statement_is_created_read_listed_and_cancelled(local, hook, target):
    run = target.submit(target.create_application("none.py", type="SESSION", file_uri=None).id)
    assert hook.get_run(run.id).state == "IN_PROGRESS"
    code = StatementDetails.build({"code": "'hello'"})
    local.add_fault("status", status=429, operation="CreateStatement", count=1)
    created = hook.statements.create(run.id, code)
    assert (created.id, created.run_id) == (0, run.id)
    ended = hook.statements.get(run.id, 0)
    assert (ended.state, ended.result.value) == ("SUCCEEDED", "'hello'")
    hook.statements.cancel(run.id, 0)
    assert [s.id for s in hook.statements.list(run.id, lifecycle_state="SUCCEEDED")] == [0]
    with pytest.raises(ServiceError, match="404"):
        hook.statements.cancel(run.id, 7)


@pytest.mark.parametrize("fault", [("lost_response", {}), ("status", {"status": 503})])
def test_create_statement_is_not_retried_after_an_unclear_error(local, hook, target, fault):
    run = target.submit(target.create_application("none.py", type="SESSION", file_uri=None).id)
    assert hook.get_run(run.id).state == "IN_PROGRESS"
    kind, fields = fault
    local.add_fault(kind, operation="CreateStatement", count=1, **fields)
    with pytest.raises(ServiceError) as caught:
        hook.statements.create(run.id, StatementDetails.build({"code": "1"}))
    assert caught.value.is_transient
    local.assert_requests(CreateStatement=1)


def test_run_is_updated_and_moved(local, hook, target):
    run = target.submit(target.create_application("hello.py").id)
    found, etag = hook.client.get_run_with_etag(run.id)
    assert found.state == "SUCCEEDED"
    assert hook.update_run(run.id, {"freeformTags": {"a": "b"}}, if_match=etag).freeform_tags == {"a": "b"}
    with pytest.raises(ServiceError, match="412"):
        hook.update_run(run.id, {"freeformTags": {}}, if_match=etag)
    hook.change_run_compartment(run.id, OTHER_COMPARTMENT)
    assert hook.get_run(run.id).compartment_id == OTHER_COMPARTMENT
