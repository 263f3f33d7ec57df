"""``@task.oci_data_flow`` in retries, clears and kills, on scripted runs whose results the tests write."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow.decorators.data_flow import DataFlowDecoratedOperator
from airflow_provider_dataflow.exceptions import DataFlowError, FunctionFailed, RunFailed
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.staging.function_result import result_uri_of
from tests.contract.conftest import poll_at_once
from tests.contract.tasks import run_task
from tests.unit.support import FakeStateStore, FakeTaskInstance


def function(spark, month):
    return month


@pytest.fixture
def service(scripted: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    poll_at_once(monkeypatch)
    scripted.create_bucket("data")
    # The bucket outlives the tests of this module.
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__STAGING_URI", f"oci://data@local/{uuid.uuid4()}")
    return scripted


def task_of(month: str = "2013-01", **arguments: Any) -> DataFlowDecoratedOperator:
    with DAG("dag"):
        return DataFlowDecoratedOperator(
            **{
                "task_id": "task",
                "python_callable": function,
                "op_args": [month],
                "poll_interval": 0.05,
                "cancel_timeout": 5,
                **arguments,
            }
        )


def write_result(service: DataFlowFixture, run: dict[str, Any], **content: Any) -> None:
    """Store what the driver of a run would store."""
    uri = result_uri_of(Run.from_api(run))
    assert uri is not None
    path = service.bucket_path("local", "data") / uri.partition("oci://data@local/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def result_uris(service: DataFlowFixture) -> list[str | None]:
    return [result_uri_of(Run.from_api(run)) for run in service.runs]


def test_retry_after_a_failure_has_another_result(service):
    service.fails_then_succeeds()
    store = FakeStateStore()
    with pytest.raises(RunFailed):
        run_task(task_of, FakeTaskInstance(max_tries=1), task_state_store=store)

    def write() -> None:
        (newest,) = (run for run in service.runs if run["lifecycleState"] != "FAILED")
        write_result(service, newest, value="of the second run")

    second = FakeTaskInstance(try_number=2, max_tries=1)
    found = run_task(lambda: task_of(deferrable=True), second, while_deferred=write, task_state_store=store)
    assert found == "of the second run"
    assert len({*result_uris(service)}) == 2


def test_value_of_a_run_that_succeeded_without_its_task_is_adopted(service):
    """The worker was lost; the next try has other arguments, and does not submit."""
    service.succeeds()
    store = FakeStateStore()
    with pytest.raises(DataFlowError, match="stored no result"):
        run_task(task_of, FakeTaskInstance(max_tries=1), task_state_store=store)
    write_result(service, service.runs[0], value=[1, 2])
    second = FakeTaskInstance(try_number=2, max_tries=1)
    assert run_task(lambda: task_of("2013-02"), second, task_state_store=store) == [1, 2]
    assert len(service.runs) == 1


def test_cleared_task_has_another_result(service):
    service.succeeds()
    store = FakeStateStore()
    for epoch in (0, 1):
        ti = FakeTaskInstance(try_number=epoch + 1, max_tries=epoch)
        with pytest.raises(DataFlowError, match="stored no result"):
            run_task(task_of, ti, task_state_store=store)
    assert len({*result_uris(service)}) == 2


def test_mapped_tasks_have_results_of_their_own(service):
    service.succeeds()
    for index in range(3):
        with pytest.raises(DataFlowError, match="stored no result"):
            run_task(task_of, FakeTaskInstance(map_index=index))
    assert len({*result_uris(service)}) == 3


def test_submit_without_a_response_is_repeated_with_the_same_body(service):
    """Otherwise the service would refuse the retry token."""
    service.succeeds()
    service.add_fault("lost_response", operation="CreateRun", count=1)
    with pytest.raises(DataFlowError, match="stored no result"):
        run_task(task_of)
    assert len(service.runs) == 1


def test_exception_of_a_deferred_task(service):
    service.fails()
    error = {"type": "KeyError", "message": "'x'", "traceback": "Traceback\nKeyError: 'x'"}

    def write() -> None:
        write_result(service, service.runs[0], error=error)

    with pytest.raises(FunctionFailed, match="KeyError"):
        run_task(lambda: task_of(deferrable=True), while_deferred=write)


def test_killed_task_cancels_its_run(service, mocker):
    service.keeps_running()
    task = task_of()

    def kill(*args: Any, **kwargs: Any) -> None:
        task.on_kill()

    mocker.patch("airflow_provider_dataflow.client.wait.sleep", side_effect=kill)
    with pytest.raises(DataFlowError, match="killed"):
        run_task(lambda: task)
    assert service.runs[0]["lifecycleState"] in ("CANCELING", "CANCELED")


def test_two_tasks_share_the_script_but_not_the_arguments(service):
    service.succeeds()
    for month in ("2013-01", "2013-02"):
        with pytest.raises(DataFlowError, match="stored no result"):
            run_task(lambda month=month: task_of(month), FakeTaskInstance(run_id=month))
    assert len(service.journal("PutObject")) == 1
    assert all(month in str(service.runs) for month in ("2013-01", "2013-02"))
