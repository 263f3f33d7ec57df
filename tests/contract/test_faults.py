"""Faults through the SDK, over HTTP and with signed requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import oci
import pytest
from oci.exceptions import RequestException, ServiceError

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.http.faults import Fault
from tests.contract.conftest import Target, target_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("faults"), engine="scripted", clock="manual") as server:
        yield server


@pytest.fixture
def local(server: LocalDataFlow) -> LocalDataFlow:
    server.reset()
    return server


@pytest.fixture
def target(local: LocalDataFlow) -> Target:
    return target_of(local)


@pytest.fixture
def details(target: Target) -> Any:
    return oci.data_flow.models.CreateRunDetails(
        compartment_id=target.compartment_id, application_id=target.create_application("hello.py").id
    )


def faults_met(local: LocalDataFlow) -> list[str]:
    return [e["notes"]["fault"]["kind"] for e in local.journal() if "fault" in e["notes"]]


def all_runs(target: Target) -> list[str]:
    return [run.id for run in target.client.list_runs(target.compartment_id).data]


def test_lost_response_creates_one_run(local, target, details):
    local.add_fault("lost_response", operation="CreateRun", count=1)
    with pytest.raises(RequestException):
        target.client.create_run(details, opc_retry_token="t")
    run = target.client.create_run(details, opc_retry_token="t").data
    assert all_runs(target) == [run.id]
    created = local.journal("CreateRun")
    assert [(e["status"], e["resource_id"]) for e in created] == [(200, run.id)] * 2
    assert faults_met(local) == ["lost_response"]


def test_dropped_request_has_no_effect(local, target, details):
    local.add_fault(Fault(kind="drop", operation="CreateRun", count=1))
    with pytest.raises(RequestException):
        target.client.create_run(details)
    assert all_runs(target) == []
    assert [e["status"] for e in local.journal("CreateRun")] == [0]
    target.client.create_run(details)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "NotAuthenticated"),
        (403, "NotAuthorized"),
        (404, "NotAuthorizedOrNotFound"),
        (409, "IncorrectState"),
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ],
)
def test_status_fault_reaches_the_sdk(local, target, details, status, code):
    run_id = target.client.create_run(details).data.id
    local.add_fault("status", status=status, operation="GetRun", retry_after=7, count=1)
    with pytest.raises(ServiceError) as e:
        target.client.get_run(run_id)
    assert (e.value.status, e.value.code) == (status, code)
    assert e.value.headers["retry-after"] == "7"
    assert e.value.request_id
    target.client.get_run(run_id)


def test_sdk_retries_a_burst_of_errors(local, target, details):
    run_id = target.client.create_run(details).data.id
    local.add_fault("status", status=503, operation="GetRun", count=2)
    strategy = oci.retry.RetryStrategyBuilder(
        max_attempts=5, retry_base_sleep_time_seconds=0.01, retry_max_wait_between_calls_seconds=0.02
    ).get_retry_strategy()
    assert target.client.get_run(run_id, retry_strategy=strategy).data.id == run_id
    assert [e["status"] for e in local.journal("GetRun")] == [503, 503, 200]


def test_fault_applies_to_one_user_and_one_run(local, target, details):
    first, second = (target.client.create_run(details).data.id for _ in range(2))
    local.add_fault("status", status=500, resource_id=first, user=local.identity.user)
    local.add_fault("status", status=500, user="ocid1.user.oc1..somebodyelse")
    with pytest.raises(ServiceError):
        target.client.get_run(first)
    target.client.get_run(second)


def test_new_run_is_not_found_at_first(local, target, details):
    local.add_fault("not_found_after_create", seconds=30)
    run_id = target.client.create_run(details).data.id
    with pytest.raises(ServiceError) as e:
        target.client.get_run(run_id)
    assert (e.value.status, e.value.code) == (404, "NotAuthorizedOrNotFound")
    local.advance(30)
    target.client.get_run(run_id)


def test_replay_conflict_is_409(local, target, details):
    local.add_fault("replay_conflict")
    target.client.create_run(details, opc_retry_token="t")
    with pytest.raises(ServiceError) as e:
        target.client.create_run(details, opc_retry_token="t")
    assert (e.value.status, e.value.code) == (409, "InvalidatedRetryToken")
    assert len(all_runs(target)) == 1


def test_retry_token_expires_after_a_day(local, target, details):
    first = target.client.create_run(details, opc_retry_token="t").data.id
    local.advance(24 * 3600 - 1)
    assert target.client.create_run(details, opc_retry_token="t").data.id == first
    local.advance(1)
    second = target.client.create_run(details, opc_retry_token="t").data.id
    assert second != first
    assert target.client.create_run(details, opc_retry_token="t").data.id == second


def test_limit_exceeded_while_too_many_runs_are_live(local, target, details):
    local.set_rules([{"attempts": [{"duration": 60}]}])
    local.add_fault("limit_exceeded", limit=2)
    for _ in range(2):
        target.client.create_run(details)
    with pytest.raises(ServiceError) as e:
        target.client.create_run(details)
    assert (e.value.status, e.value.code) == (400, "LimitExceeded")
    local.advance(60)
    target.client.create_run(details)


def test_clock_skew_is_401(local, target):
    fault = local.add_fault("clock_skew", seconds=-600)
    with pytest.raises(ServiceError) as e:
        target.client.list_runs(target.compartment_id)
    assert (e.value.status, e.value.code) == (401, "NotAuthenticated")
    date = parsedate_to_datetime(e.value.headers["date"]).timestamp()
    assert -600 - 5 < date - time.time() < -600 + 5
    local.clear_faults(fault)
    response = target.client.list_runs(target.compartment_id)
    assert abs(parsedate_to_datetime(response.headers["date"]).timestamp() - time.time()) < 5
    assert all_runs(target) == []


def test_slow_response_does_not_delay_others(local, target):
    """Each client has its own connection, because one connection serves one request at a time."""
    local.add_fault("slow", seconds=0.6, operation="ListRuns")
    seconds: list[float] = []

    def list_slowly() -> None:
        began = time.monotonic()
        target_of(local).client.list_runs(target.compartment_id)
        seconds.append(time.monotonic() - began)

    slow = threading.Thread(target=list_slowly)
    slow.start()
    while not local.journal("ListRuns"):
        time.sleep(0.005)
    assert target.client.list_applications(target.compartment_id).status == 200
    assert slow.is_alive()
    slow.join()
    assert seconds[0] >= 0.6


def test_slow_body_delays_the_response(local, target):
    local.add_fault("slow_body", seconds=0.2, operation="ListRuns", count=1)
    began = time.monotonic()
    assert all_runs(target) == []
    assert time.monotonic() - began >= 0.2


def submit_endless_run(local: LocalDataFlow, target: Target, details: Any) -> str:
    local.set_rules([{"attempts": [{"outcome": "IN_PROGRESS"}]}])
    return str(target.client.create_run(details).data.id)


def client_with_timeout(local: LocalDataFlow, seconds: float) -> oci.data_flow.DataFlowClient:
    return oci.data_flow.DataFlowClient(
        local.sdk_config,
        service_endpoint=local.endpoint,
        retry_strategy=oci.retry.NoneRetryStrategy(),
        timeout=(5, seconds),
    )


def test_slow_cancel_is_carried_out_although_the_client_leaves(local, target, details):
    run_id = submit_endless_run(local, target, details)
    local.add_fault("slow", seconds=30, operation="DeleteRun")
    with pytest.raises(RequestException):
        client_with_timeout(local, 0.2).delete_run(run_id)
    assert target.client.get_run(run_id).data.lifecycle_state == "CANCELED"


def test_late_cancel_is_carried_out_only_if_the_client_waits(local, target, details):
    run_id = submit_endless_run(local, target, details)
    fault = local.add_fault("late", seconds=30, operation="DeleteRun")
    with pytest.raises(RequestException):
        client_with_timeout(local, 0.2).delete_run(run_id)
    deadline = time.monotonic() + 20
    while not local.journal("DeleteRun"):  # until the server notices that the client has left
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert target.client.get_run(run_id).data.lifecycle_state == "IN_PROGRESS"
    local.clear_faults(fault)
    local.add_fault("late", seconds=0.2, operation="DeleteRun")
    began = time.monotonic()
    target.client.delete_run(run_id)
    assert time.monotonic() - began >= 0.2
    assert target.client.get_run(run_id).data.lifecycle_state == "CANCELED"
    assert [e["status"] for e in local.journal("DeleteRun")] == [0, 204]


def test_cancel_succeeds_after_two_errors(local, target, details):
    run_id = submit_endless_run(local, target, details)
    local.add_fault("status", status=503, operation="DeleteRun", count=2)
    for _ in range(2):
        with pytest.raises(ServiceError):
            target.client.delete_run(run_id)
    target.client.delete_run(run_id)
    assert [e["status"] for e in local.journal("DeleteRun")] == [503, 503, 204]
    assert target.client.get_run(run_id).data.lifecycle_state == "CANCELED"


def test_outage_begins_and_ends_at_its_times(local, target, details):
    run_id = submit_endless_run(local, target, details)
    local.add_fault("drop", in_seconds=60, for_seconds=1200)
    target.client.get_run(run_id)
    local.advance(60)
    for call in (
        lambda: target.client.get_run(run_id),
        lambda: target.client.list_runs(target.compartment_id),
        lambda: target.client.create_run(details),
        lambda: target.client.delete_run(run_id),
    ):
        with pytest.raises(RequestException):
            call()
    local.advance(1200)
    assert target.client.get_run(run_id).data.lifecycle_state == "IN_PROGRESS"
    assert all_runs(target) == [run_id]


def test_vanished_run_is_not_found(local, target, details):
    run_id = submit_endless_run(local, target, details)
    other = target.client.create_run(details).data.id
    local.add_fault("vanish", resource_id=run_id)
    for call in (target.client.get_run, target.client.delete_run, target.client.list_run_logs):
        with pytest.raises(ServiceError) as e:
            call(run_id)
        assert (e.value.status, e.value.code) == (404, "NotAuthorizedOrNotFound")
    assert all_runs(target) == [other]
    assert {run["id"] for run in local.runs} == {run_id, other}


def refusal(call: Any) -> tuple[int, str]:
    with pytest.raises(ServiceError) as e:
        call()
    return e.value.status, e.value.code


NOT_FOUND = (404, "NotAuthorizedOrNotFound")


def test_denied_operation_is_not_found_until_it_is_allowed(local, target, details):
    run_id = target.client.create_run(details).data.id
    denied = local.deny("CreateRun")
    for _ in range(3):
        assert refusal(lambda: target.client.create_run(details)) == NOT_FOUND
    # Authorization comes before the check of the body.
    assert refusal(lambda: target.client.create_run({})) == NOT_FOUND
    assert target.client.get_run(run_id).data.id == run_id
    other = local.deny("GetRun")
    local.allow(denied)
    target.client.create_run(details)
    assert refusal(lambda: target.client.get_run(run_id)) == NOT_FOUND
    local.add_fault("status", status=500, operation="ListRuns")
    local.allow()
    assert [fault["kind"] for fault in local.faults()] == ["status"]
    assert target.client.get_run(run_id).data.id == run_id
    assert other != denied


def test_denied_resource_and_its_compartment(local, target, details):
    application_id = details.application_id
    run_id = target.client.create_run(details).data.id
    denied = local.deny(resource_id=application_id)
    assert refusal(lambda: target.client.get_application(application_id)) == NOT_FOUND
    assert refusal(lambda: target.client.create_run(details)) == NOT_FOUND
    assert target.client.get_run(run_id).data.id == run_id
    local.allow(denied)
    local.deny("*Run*", resource_id=target.compartment_id)
    for call in (
        lambda: target.client.create_run(details),
        lambda: target.client.list_runs(target.compartment_id),
        lambda: target.client.get_run(run_id),
        lambda: target.client.list_run_logs(run_id),
    ):
        assert refusal(call) == NOT_FOUND
    assert target.client.get_application(application_id).data.id == application_id
    assert target.client.list_runs("ocid1.compartment.oc1..elsewhere").data == []


def test_denied_related_resource_is_another_error(local, target, details):
    pool = "ocid1.dataflowpool.oc1..denied"
    local.deny(resource_id=pool)
    details.pool_id = pool
    assert refusal(lambda: target.client.create_run(details)) == (
        400,
        "RelatedResourceNotAuthorizedOrNotFound",
    )
    assert refusal(lambda: target.client.get_pool(pool)) == NOT_FOUND
    assert len(local.journal("CreateRun")) == 1


def test_denied_user(local, target, details):
    local.deny(user="ocid1.user.oc1..somebody-else")
    target.client.create_run(details)
    local.deny(user=local.identity.user)
    assert refusal(lambda: target.client.create_run(details)) == NOT_FOUND


def test_denied_bucket_includes_its_objects(local, target):
    objects = oci.object_storage.ObjectStorageClient(
        local.sdk_config,
        service_endpoint=local.endpoint,
        retry_strategy=oci.retry.NoneRetryStrategy(),
    )
    target.upload("a", b"a")
    local.create_bucket("open", "ns")
    local.deny(resource_id=target.bucket_uri)
    for call in (
        lambda: objects.get_bucket("ns", "data"),
        lambda: objects.list_objects("ns", "data"),
        lambda: objects.put_object("ns", "data", "b", b"b"),
        lambda: objects.get_object("ns", "data", "a"),
    ):
        assert refusal(call) == (404, "BucketNotFound")
    with pytest.raises(ServiceError) as e:
        objects.head_object("ns", "data", "a")
    assert e.value.status == 404
    objects.put_object("ns", "open", "b", b"b")
    local.allow()
    local.deny("PutObject", resource_id=f"{target.bucket_uri}b")
    assert refusal(lambda: objects.put_object("ns", "data", "b", b"b")) == (404, "BucketNotFound")
    objects.put_object("ns", "data", "c", b"c")


def test_moved_run_is_in_the_other_compartment(local, target, details):
    run_id = submit_endless_run(local, target, details)
    elsewhere = "ocid1.compartment.oc1..elsewhere"
    local.move_run(run_id, elsewhere)
    assert all_runs(target) == []
    assert [run.id for run in target.client.list_runs(elsewhere).data] == [run_id]
    run = target.client.get_run(run_id).data
    assert (run.compartment_id, run.lifecycle_state) == (elsewhere, "IN_PROGRESS")


def test_unknown_state_reaches_the_sdk(local, target, details):
    local.set_rules([{"attempts": [{"state": "PAUSING", "duration": 60}]}])
    run_id = target.client.create_run(details).data.id
    assert target.client.get_run(run_id).data.lifecycle_state == "UNKNOWN_ENUM_VALUE"
    assert target.client.list_runs(target.compartment_id).data[0].lifecycle_state == "UNKNOWN_ENUM_VALUE"
    assert local.run_states(run_id) == ["ACCEPTED", "PAUSING"]
    local.advance(60)
    assert target.client.get_run(run_id).data.lifecycle_state == "SUCCEEDED"


def test_run_names_the_requests_that_created_and_cancelled_it(local, target, details):
    run_id = submit_endless_run(local, target, details)
    target.client.delete_run(run_id)
    target.client.delete_run(run_id)
    (run,) = local.runs
    for request in (run["createdBy"], run["cancelledBy"]):
        assert request["user"] == local.identity.user
        assert request["userAgent"].startswith("Oracle-PythonSDK/")
    cancelling = [e["request_id"] for e in local.journal("DeleteRun") if e["notes"].get("cancelled")]
    assert cancelling == [run["cancelledBy"]["requestId"]]


def test_truncated_body_is_an_error(local, target, details):
    run_id = target.client.create_run(details).data.id
    local.add_fault("truncated_body", operation="GetRun", count=1)
    # The requests library accepts a short body, so the SDK parses incomplete JSON.
    with pytest.raises((RequestException, ServiceError, ValueError)):
        target.client.get_run(run_id)
    assert target.client.get_run(run_id).data.id == run_id
    assert faults_met(local) == ["truncated_body"]
