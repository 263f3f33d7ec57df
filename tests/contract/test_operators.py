"""The other operators through the real SDK, waiting in the worker and deferred."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dataflow.exceptions import (
    AmbiguousName,
    DataFlowError,
    InvalidArgument,
    NotFound,
    PoolFailed,
    PoolLost,
    PoolTimedOut,
    RunError,
    RunLost,
    RunTimedOut,
    ServiceError,
    StatementFailed,
    StatementTimedOut,
)
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.application import (
    CreateOrUpdateApplicationOperator,
    DeleteApplicationOperator,
)
from airflow_provider_dataflow.operators.manage_run import (
    CancelRunOperator,
    GetRunOperator,
    ListRunsOperator,
    UpdateRunOperator,
)
from airflow_provider_dataflow.operators.pool import (
    CreatePoolOperator,
    DeletePoolOperator,
    StartPoolOperator,
    StopPoolOperator,
)
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from tests.contract.conftest import Target, poll_at_once, set_connection, target_of
from tests.contract.tasks import run_task
from tests.unit.support import FakeTaskInstance

OTHER_COMPARTMENT = "ocid1.compartment.oc1..other"


@pytest.fixture
def local(clock_of_waits: DataFlowFixture) -> DataFlowFixture:
    return clock_of_waits


@pytest.fixture
def target(local: DataFlowFixture) -> Target:
    return target_of(local)


def run_of(target: Target, **fields: Any) -> str:
    run_id: str = target.submit(target.create_application("hello.py").id, **fields).id
    return run_id


def messages(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


# --- Runs ----------------------------------------------------------------------------------------------


def test_get_run_returns_attributes_of_terraforms_data_source(target):
    run_id = run_of(target, display_name="nightly", driver_shape_config={"ocpus": 1, "memory_in_gbs": 16})
    ti = FakeTaskInstance()
    found = run_task(lambda: GetRunOperator(task_id="get", run_id=run_id), ti)
    assert (found["id"], found["display_name"], found["state"]) == (run_id, "nightly", "SUCCEEDED")
    assert found["driver_shape_config"] == {"ocpus": 1, "memory_in_gbs": 16}
    assert datetime.fromisoformat(found["time_created"]).tzinfo is not None
    assert json.loads(json.dumps(found)) == found
    assert ti.xcoms["run_page_url"].endswith(run_id)


def test_get_run_hides_secrets_in_the_result(local, target):
    run_id = run_of(
        target,
        arguments=["--token", "MARKED-1"],
        parameters=[{"name": "password", "value": "MARKED-2"}, {"name": "day", "value": "1"}],
        configuration={"spark.app.secret": "MARKED-3"},
    )
    found = run_task(lambda: GetRunOperator(task_id="get", run_id=run_id))
    assert "MARKED" not in json.dumps(found)
    assert found["arguments"] == ["--token", "***"]
    assert {"name": "day", "value": "1"} in found["parameters"]


def test_get_run_fails_for_unknown_or_missing_run_id(local):
    with pytest.raises(ServiceError, match="404"):
        run_task(lambda: GetRunOperator(task_id="get", run_id="ocid1.dataflowrun.oc1..nope"))
    with pytest.raises(InvalidArgument, match="run_id: missing"):
        run_task(lambda: GetRunOperator(task_id="get", run_id=""))


def test_list_runs_follows_pages_and_applies_filters(local, target, monkeypatch):
    monkeypatch.setattr("airflow_provider_dataflow.client.sync_client.PAGE_SIZE", 2)
    ids = []
    for n in range(5):
        ids.append(run_of(target, display_name=f"n{n}"))
        local.advance(60)
    before = (datetime.fromtimestamp(local.now(), UTC) - timedelta(seconds=150)).isoformat()

    def listed(**kwargs: Any) -> list[str]:
        found = run_task(lambda: ListRunsOperator(task_id="list", **kwargs))
        assert json.loads(json.dumps(found)) == found
        return [run["id"] for run in found]

    assert listed() == ids[::-1]
    assert listed(limit="3") == ids[:1:-1]
    assert listed(display_name="n1") == [ids[1]]
    assert listed(lifecycle_state="failed") == []
    assert listed(time_created_greater_than=before) == ids[:2:-1]
    assert listed(compartment_id=OTHER_COMPARTMENT) == []
    with pytest.raises(InvalidArgument, match="limit: expected a number"):
        listed(limit="all")


def test_list_runs_returns_attributes_of_the_sdks_summary(target):
    from oci.data_flow.models import RunSummary

    run_of(target)
    (found,) = run_task(lambda: ListRunsOperator(task_id="list"))
    sdk = {"state" if n == "lifecycle_state" else n for n in RunSummary().attribute_map}
    listed = {"total_o_cpu" if name == "total_ocpu" else name for name in found}
    # The details may quote secrets in the arguments, which a list does not have.
    assert listed == sdk - {"lifecycle_details"}


def test_update_run_sends_only_differences(local, target, capsys):
    run_id = run_of(target, freeform_tags={"a": "b"}, max_duration_in_minutes=60)

    def updated(**kwargs: Any) -> Any:
        local.clear_journal()
        return run_task(lambda: UpdateRunOperator(task_id="update", run_id=run_id, **kwargs))

    assert updated(freeform_tags='{"a": "b"}', max_duration_in_minutes="60") == []
    local.assert_requests(UpdateRun=0, ChangeRunCompartment=0)
    assert "nothing was sent" in messages(capsys)

    assert updated(freeform_tags={"a": "b"}, max_duration_in_minutes="61") == ["max_duration_in_minutes"]
    assert updated(freeform_tags={}, compartment_id=OTHER_COMPARTMENT) == ["freeform_tags", "compartment_id"]
    assert updated(compartment_id=OTHER_COMPARTMENT) == []
    local.assert_requests(UpdateRun=0, ChangeRunCompartment=0)
    run = target.client.get_run(run_id).data
    assert (run.freeform_tags, run.max_duration_in_minutes) == ({}, 61)
    assert run.compartment_id == OTHER_COMPARTMENT
    with pytest.raises(InvalidArgument, match="only for runs of type SESSION"):
        updated(idle_timeout_in_minutes=5)


def test_update_run_keeps_tags_of_other_namespaces(target):
    run_id = run_of(target, defined_tags={"Oracle-Tags": {"CreatedBy": "me"}})
    tags = {"Ops.Cost": "x"}
    assert run_task(lambda: UpdateRunOperator(task_id="u", run_id=run_id, defined_tags=tags)) == [
        "defined_tags"
    ]
    assert target.client.get_run(run_id).data.defined_tags == {
        "Oracle-Tags": {"CreatedBy": "me"},
        "Ops": {"Cost": "x"},
    }


def cancel(run_id: str, **kwargs: Any) -> CancelRunOperator:
    return CancelRunOperator(task_id="cancel", run_id=run_id, poll_interval=0.01, **kwargs)


def test_cancel_waits_for_the_end_of_the_run(local, target, deferrable):
    local.keeps_running(cancel_duration=20)
    run_id = run_of(target)
    deferrals: list[str] = []
    ti = FakeTaskInstance()
    state = run_task(
        lambda: cancel(run_id, deferrable=deferrable),
        ti,
        while_deferred=lambda: local.advance(20),
        deferrals=deferrals,
    )
    assert state == "CANCELED"
    assert deferrals == ["RunTrigger"] * deferrable
    assert ti.xcoms["run_page_url"].endswith(run_id)


def test_cancel_without_wait_returns_when_confirmed(local, target):
    local.keeps_running(cancel_duration=20)
    assert run_task(lambda: cancel(run_of(target), wait_for_completion=False)) == "CANCELING"


def test_cancelled_session_is_stopped(local, target):
    run_id = session(target)
    assert run_task(lambda: cancel(run_id)) == "STOPPED"


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_cancel_of_ended_run_sends_nothing(local, target, capsys, end):
    if end == "FAILED":
        local.fails()
    run_id = run_of(target)
    assert run_task(lambda: cancel(run_id)) == end
    assert "nothing to cancel" in messages(capsys)
    local.assert_requests(DeleteRun=0)


def test_cancel_fails_after_timeout(local, target, deferrable):
    local.keeps_running(cancel_duration=1e6)
    run_id = run_of(target)
    started = datetime.now(UTC) - timedelta(hours=1)
    with pytest.raises(RunTimedOut) as caught:
        run_task(
            lambda: cancel(run_id, timeout=timedelta(minutes=1), deferrable=deferrable),
            FakeTaskInstance(start_date=started),
        )
    assert caught.value.state == "CANCELING"


def test_cancel_fails_after_error_budget(local, target, deferrable):
    local.keeps_running(cancel_duration=1e6)
    run_id = run_of(target)

    def outage(operator: CancelRunOperator) -> CancelRunOperator:
        local.add_fault("status", status=404, operation="GetRun", after=2)
        return operator

    with pytest.raises(RunLost):
        run_task(lambda: outage(cancel(run_id, error_budget=0.001, deferrable=deferrable)))


# --- Applications --------------------------------------------------------------------------------------

APPLICATION = {
    "display_name": "nightly",
    "driver_shape": "VM.Standard2.1",
    "executor_shape": "VM.Standard2.1",
    "language": "PYTHON",
    "num_executors": "1",
    "spark_version": "3.5.0",
    "file_uri": "oci://data@ns/hello.py",
}


def create(**kwargs: Any) -> CreateOrUpdateApplicationOperator:
    return CreateOrUpdateApplicationOperator(task_id="create", **APPLICATION | kwargs)


def delete(**kwargs: Any) -> DeleteApplicationOperator:
    return DeleteApplicationOperator(task_id="delete", **kwargs)


def test_application_is_created_kept_and_updated(local, target, capsys):
    ti = FakeTaskInstance()
    application_id = run_task(create, ti)
    assert ti.xcoms["application_id"] == application_id
    assert run_task(create) == application_id
    local.assert_requests(CreateApplication=1, UpdateApplication=0)
    assert "nothing was sent" in messages(capsys)
    assert run_task(lambda: create(arguments=["x"], num_executors=2)) == application_id
    found = target.client.get_application(application_id).data
    assert (found.arguments, found.num_executors) == (["x"], 2)
    local.assert_requests(CreateApplication=1, UpdateApplication=1)
    # Fields without an argument stay unchanged.
    assert run_task(create) == application_id
    assert target.client.get_application(application_id).data.arguments == ["x"]


def test_lost_create_response_creates_no_second_application(local):
    local.add_fault("lost_response", operation="CreateApplication", count=5)
    ti = FakeTaskInstance()
    with pytest.raises(ServiceError):
        run_task(create, ti)
    local.clear_faults()
    # The retry finds the application by its name.
    run_task(create, ti)
    assert len(target_of(local).client.list_applications(local.compartment_id).data) == 1


def test_two_applications_of_one_name_are_ambiguous(target):
    for _ in range(2):
        target.create_application("hello.py", display_name="nightly")
    for operator in (create, lambda: delete(display_name="nightly")):
        with pytest.raises(AmbiguousName, match="2 applications are named 'nightly'"):
            run_task(operator)


def test_application_with_execute(target):
    arguments = {**APPLICATION, "file_uri": None, "execute": "oci://data@ns/hello.py a"}
    operator = lambda: CreateOrUpdateApplicationOperator(task_id="create", **arguments)  # noqa: E731
    application_id = run_task(operator)
    assert run_task(operator) == application_id
    assert target.client.get_application(application_id).data.arguments == ["a"]


@pytest.mark.parametrize("by", ["id", "name"])
def test_delete_application_by_id_or_name(local, target, by):
    application_id = target.create_application("hello.py", display_name="nightly").id
    which = {"application_id": application_id} if by == "id" else {"display_name": "nightly"}
    assert run_task(lambda: delete(**which)) == application_id
    assert target.client.get_application(application_id).data.lifecycle_state == "DELETED"
    if by == "id":
        assert run_task(lambda: delete(**which)) == application_id
        local.assert_requests(DeleteApplication=1)
    else:
        with pytest.raises(NotFound, match="No application is named 'nightly'"):
            run_task(lambda: delete(**which))
        assert run_task(lambda: delete(**which, ignore_if_missing=True)) is None


def test_delete_of_unknown_application_fails_unless_ignored(local):
    unknown = "ocid1.dataflowapplication.oc1..nope"
    with pytest.raises(ServiceError, match="404"):
        run_task(lambda: delete(application_id=unknown))
    assert run_task(lambda: delete(application_id=unknown, ignore_if_missing=True)) is None


def test_delete_of_application_with_active_runs_needs_cascading(local, target):
    local.keeps_running()
    run_id = run_of(target)
    application_id = target.client.get_run(run_id).data.application_id
    with pytest.raises(ServiceError, match="409"):
        run_task(lambda: delete(application_id=application_id))
    run_task(lambda: delete(application_id=application_id, cascading=True))
    assert target.wait(run_id).lifecycle_state == "CANCELED"


# --- Pools ---------------------------------------------------------------------------------------------

NODES = [{"shape": "VM.Standard2.1", "min": 1, "max": "2"}]


def create_pool(**kwargs: Any) -> CreatePoolOperator:
    arguments = {"display_name": "warm", "configurations": NODES, "poll_interval": 0.01}
    return CreatePoolOperator(task_id="create", **arguments | kwargs)


def on_pool(kind: Any, pool_id: str, **kwargs: Any) -> Any:
    return kind(task_id="pool", pool_id=pool_id, **{"poll_interval": 0.01} | kwargs)


def pool_state(target: Target, pool_id: str) -> str:
    state: str = target.client.get_pool(pool_id).data.lifecycle_state
    return state


def test_pool_is_created_stopped_started_and_deleted(local, target, deferrable):
    deferrals: list[str] = []

    def done(operator: Any) -> Any:
        return run_task(operator, deferrals=deferrals)

    ti = FakeTaskInstance()
    pool_id = run_task(lambda: create_pool(deferrable=deferrable), ti, deferrals=deferrals)
    assert (ti.xcoms["pool_id"], pool_state(target, pool_id)) == (pool_id, "ACTIVE")
    done(lambda: on_pool(StopPoolOperator, pool_id, deferrable=deferrable))
    assert pool_state(target, pool_id) == "STOPPED"
    done(lambda: on_pool(StartPoolOperator, pool_id, deferrable=deferrable))
    assert pool_state(target, pool_id) == "ACTIVE"
    assert done(lambda: on_pool(DeletePoolOperator, pool_id, deferrable=deferrable)) == pool_id
    assert pool_state(target, pool_id) == "DELETED"
    # The delete defers twice: for the stop and for the delete.
    assert deferrals == ["PoolTrigger"] * (5 if deferrable else 0)
    local.assert_requests(CreatePool=1, StopPool=2, StartPool=1, DeletePool=1)


def test_pool_operators_send_nothing_if_state_is_reached(local, target, capsys):
    pool_id = run_task(create_pool)
    assert run_task(create_pool) == pool_id
    run_task(lambda: on_pool(StartPoolOperator, pool_id))
    run_task(lambda: on_pool(StopPoolOperator, pool_id))
    run_task(lambda: on_pool(StopPoolOperator, pool_id))
    run_task(lambda: on_pool(DeletePoolOperator, pool_id))
    run_task(lambda: on_pool(DeletePoolOperator, pool_id))
    run_task(lambda: on_pool(StopPoolOperator, pool_id))
    local.assert_requests(CreatePool=1, StartPool=0, StopPool=1, DeletePool=1)
    log = messages(capsys)
    assert "already exists and is ACTIVE" in log
    assert "is STOPPED: nothing to stop" in log
    assert "is DELETED: nothing to stop" in log
    # A deleted pool of the same name is not used.
    assert run_task(create_pool, FakeTaskInstance(try_number=2)) != pool_id


def test_create_pool_starts_existing_pool_without_updating_it(local, target, capsys):
    pool_id = run_task(create_pool)
    run_task(lambda: on_pool(StopPoolOperator, pool_id))
    assert run_task(lambda: create_pool(description="another")) == pool_id
    assert pool_state(target, pool_id) == "ACTIVE"
    assert "differs in description" in messages(capsys)
    local.assert_requests(CreatePool=1, StartPool=1, UpdatePool=0)


def test_pool_with_schedules_is_scheduled_until_it_is_started(local, target, deferrable, capsys):
    schedules = [{"day_of_week": "MONDAY", "start_time": 8, "stop_time": 18}]
    create = functools.partial(create_pool, schedules=schedules, deferrable=deferrable)
    pool_id = run_task(create)
    assert pool_state(target, pool_id) == "SCHEDULED"
    assert run_task(create) == pool_id
    run_task(lambda: on_pool(StopPoolOperator, pool_id))
    assert "is SCHEDULED: nothing to stop" in messages(capsys)
    run_task(lambda: on_pool(StartPoolOperator, pool_id, deferrable=deferrable))
    assert pool_state(target, pool_id) == "ACTIVE"
    other = run_task(lambda: create(display_name="other"), FakeTaskInstance(try_number=2))
    run_task(lambda: on_pool(DeletePoolOperator, other, deferrable=deferrable))
    assert pool_state(target, other) == "DELETED"
    local.assert_requests(CreatePool=2, StartPool=1, StopPool=0, DeletePool=1)


def test_pool_operators_without_wait_send_their_request(local, target):
    pool_id = run_task(lambda: create_pool(wait_for_completion=False))
    assert pool_state(target, pool_id) == "ACCEPTED"
    # The task waits for the start and the stop, and requests the delete.
    run_task(lambda: on_pool(DeletePoolOperator, pool_id, wait_for_completion=False))
    assert pool_state(target, pool_id) == "DELETING"


def test_pool_is_read_again_after_conflicting_request(local, target):
    pool_id = run_task(create_pool)
    run_task(lambda: on_pool(StopPoolOperator, pool_id))
    # The response if another task has just started the pool.
    local.add_fault("status", status=409, code="IncorrectState", operation="StartPool", count=1)
    run_task(lambda: on_pool(StartPoolOperator, pool_id))
    assert pool_state(target, pool_id) == "ACTIVE"


def test_lasting_refusal_of_pool_request_ends_at_timeout(local, target):
    pool_id = run_task(create_pool)
    local.add_fault("status", status=409, code="Conflict", operation="StopPool")
    ti = FakeTaskInstance(start_date=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(PoolTimedOut, match="409"):
        run_task(lambda: on_pool(StopPoolOperator, pool_id), ti)


def test_start_of_deleted_pool_fails(local, target, deferrable):
    pool_id = run_task(create_pool)
    run_task(lambda: on_pool(DeletePoolOperator, pool_id))
    with pytest.raises(PoolFailed, match=r"cannot be started"):
        run_task(lambda: on_pool(StartPoolOperator, pool_id, deferrable=deferrable))


def test_pool_unknown_after_delete_counts_as_deleted(local, target, deferrable):
    pool_id = run_task(create_pool)
    run_task(lambda: on_pool(StopPoolOperator, pool_id))
    local.clear_journal()
    local.add_fault("status", status=404, operation="GetPool", after=1)
    run_task(lambda: on_pool(DeletePoolOperator, pool_id, deferrable=deferrable))
    local.clear_faults()
    assert pool_state(target, pool_id) in ("DELETING", "DELETED")


def test_unknown_pool_fails_unless_ignored(local):
    unknown = "ocid1.dataflowpool.oc1..nope"
    with pytest.raises(ServiceError, match="404"):
        run_task(lambda: on_pool(DeletePoolOperator, unknown))
    run_task(lambda: on_pool(DeletePoolOperator, unknown, ignore_if_missing=True))
    with pytest.raises(InvalidArgument, match="pool_id: expected an OCID"):
        run_task(lambda: on_pool(StartPoolOperator, "warm"))


def test_pool_wait_ends_at_timeout(local, deferrable):
    ti = FakeTaskInstance(start_date=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(PoolTimedOut) as caught:
        run_task(lambda: create_pool(deferrable=deferrable), ti)
    assert caught.value.state in ("ACCEPTED", "CREATING")


def test_pool_wait_ends_after_error_budget(local, deferrable):
    pool_id = run_task(create_pool)

    def outage() -> Any:
        local.add_fault("status", status=404, operation="GetPool", after=1)
        return on_pool(StopPoolOperator, pool_id, error_budget=0.001, deferrable=deferrable)

    with pytest.raises(PoolLost, match="404"):
        run_task(outage)


def test_pool_wait_tolerates_outage(local, target, deferrable):
    pool_id = run_task(create_pool)
    local.add_fault("status", status=503, operation="GetPool", after=1, count=7)
    run_task(lambda: on_pool(StopPoolOperator, pool_id, deferrable=deferrable))
    assert pool_state(target, pool_id) == "STOPPED"


def with_outage(local: DataFlowFixture, operation: str, make: Any) -> Any:
    """Return a factory of operators. With the second one, an outage starts that outlasts a call's retries."""
    created = []

    def operator() -> Any:
        created.append(make())
        if len(created) == 2:
            local.add_fault("status", status=503, operation=operation, count=7)
        return created[-1]

    return operator


def test_pool_wait_tolerates_outage_after_deferral(local, target):
    pool_id = run_task(create_pool)
    run_task(with_outage(local, "GetPool", lambda: on_pool(StopPoolOperator, pool_id, deferrable=True)))
    assert pool_state(target, pool_id) == "STOPPED"


# --- Statements ----------------------------------------------------------------------------------------


def session(target: Target, **fields: Any) -> str:
    run_id: str = target.submit(
        target.create_application("none.py", type="SESSION", file_uri=None).id, **fields
    ).id
    return run_id


def statement(run_id: str, code: str, **kwargs: Any) -> RunStatementOperator:
    return RunStatementOperator(task_id="task", run_id=run_id, code=code, **{"poll_interval": 0.01} | kwargs)


def test_statement_waits_for_session_and_returns_output(local, target, deferrable, capsys):
    run_id = session(target, configuration={"spark.dataflow.emulator.startup": "2"})
    assert target.client.get_run(run_id).data.lifecycle_state == "ACCEPTED"
    ti, deferrals = FakeTaskInstance(), []
    output = run_task(
        lambda: statement(run_id, "'hello'", deferrable=deferrable),
        ti,
        while_deferred=lambda: local.advance(2),
        deferrals=deferrals,
    )
    assert output == "'hello'"
    assert deferrals == (["RunTrigger", "StatementTrigger"] if deferrable else [])
    assert ti.xcoms["statement_id"] == 0
    assert ti.xcoms["run_page_url"].endswith(run_id)
    assert "'hello'" in messages(capsys)


def test_outage_after_deferral_does_not_send_code_twice(local, target):
    run_id = session(target)
    make = with_outage(local, "GetStatement", lambda: statement(run_id, "'hello'", deferrable=True))
    assert run_task(make) == "'hello'"
    local.assert_requests(CreateStatement=1)


def test_failed_statement_raises_error_with_traceback(target, deferrable):
    run_id = session(target)
    with pytest.raises(StatementFailed) as caught:
        run_task(lambda: statement(run_id, "raise ValueError('no')", deferrable=deferrable))
    error = caught.value
    assert (error.error_name, error.error_value, error.traceback) == (
        "ValueError",
        "no",
        ("raise ValueError('no')",),
    )
    assert re.search(r"Statement 0 of run ocid1\S+ failed.*ValueError: no", str(error), re.DOTALL)


def test_long_output_is_cut_off(target):
    run_id = session(target)
    assert run_task(lambda: statement(run_id, "x" * 100, max_output_length=10)) == "x" * 10


def test_statement_fails_in_ended_session(local, target):
    run_id = session(target)
    run_task(lambda: cancel(run_id))
    with pytest.raises(RunError, match="only while it is IN_PROGRESS") as caught:
        run_task(lambda: statement(run_id, "1"))
    assert caught.value.state == "STOPPED"


def test_statement_fails_if_session_ends_before_its_start(local, target, deferrable):
    run_id = session(target, configuration={"spark.dataflow.emulator.startup": "60"})
    operator = lambda: statement(run_id, "1", deferrable=deferrable)  # noqa: E731
    if deferrable:
        with pytest.raises(RunError, match="only while it is IN_PROGRESS"):
            run_task(operator, while_deferred=lambda: target.client.delete_run(run_id))
    else:
        local.add_fault("status", status=503, operation="GetRun", after=1, count=1)
        target.client.delete_run(run_id)
        with pytest.raises(RunError, match="only while it is IN_PROGRESS"):
            run_task(operator)
    local.assert_requests(CreateStatement=0)


def test_statement_fails_if_session_does_not_start_in_time(target, deferrable):
    run_id = session(target, configuration={"spark.dataflow.emulator.startup": "1e6"})
    ti = FakeTaskInstance(start_date=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(RunTimedOut):
        run_task(lambda: statement(run_id, "1", timeout=60, deferrable=deferrable), ti)


def test_statement_refuses_batch_run(target):
    run_id = run_of(target)
    with pytest.raises(InvalidArgument, match="expected a run of type SESSION, got BATCH"):
        run_task(lambda: statement(run_id, "1"))


@pytest.fixture
def spark(tmp_path: Path) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path / "home") as server:
        yield server


@pytest.mark.spark
def test_statements_on_spark_are_cancelled_with_their_tasks(spark, monkeypatch):
    """Of tasks that time out, are killed in the worker, and are killed while deferred."""
    set_connection(spark, monkeypatch)
    poll_at_once(monkeypatch)
    target = target_of(spark)
    run_id = session(target)
    endless = "import time\nwhile True: time.sleep(0.01)"
    assert run_task(lambda: statement(run_id, "x = spark.range(3).count()\nx", poll_interval=0.1)) == "3"
    for deferrable in (False, True):
        with pytest.raises(StatementTimedOut, match="Its cancel was requested"):
            run_task(
                lambda deferrable=deferrable: statement(
                    run_id, endless, timeout=2, deferrable=deferrable, poll_interval=0.1
                )
            )

    task = statement(run_id, endless, poll_interval=0.1)
    kill = threading.Thread(target=task.on_kill)

    class KilledAfterTheCreate(FakeTaskInstance):
        def xcom_push(self, key: str, value: Any) -> None:
            super().xcom_push(key, value)
            if key == "statement":
                kill.start()

    with pytest.raises(DataFlowError, match="killed"):
        run_task(lambda: task, KilledAfterTheCreate())
    kill.join()

    with pytest.raises(TaskDeferred) as deferred:
        statement(run_id, endless, deferrable=True).execute({"ti": FakeTaskInstance()})
    asyncio.run(deferred.value.trigger.on_kill())

    # The session continues, with what the statements defined.
    assert run_task(lambda: statement(run_id, "x + 1", poll_interval=0.1)) == "4"
    states = [
        s.lifecycle_state for s in target.client.list_statements(run_id, sort_by="timeCreated").data.items
    ]
    assert sorted(states) == ["CANCELLED"] * 4 + ["SUCCEEDED"] * 2
    target.client.delete_run(run_id)
    assert target.wait(run_id).lifecycle_state == "STOPPED"
