"""Retries by the cause of a failure: operator, policy and ``on_cause`` through the real SDK.

Each try is a new operator and task instance, as in ``test_ownership``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import oci
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, RunFailed, SubmitRejected
from airflow_provider_dataflow.local.engines.rules import RunScript
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.retries import NotRetried
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership.acquire import RunAcquirer
from airflow_provider_dataflow.ownership.acquire_settings import AcquirePauses
from airflow_provider_dataflow.ownership.record_store import RECORD_KEY
from airflow_provider_dataflow.retries.policy import DataFlowRetryPolicy
from tests.contract.conftest import poll_at_once, target_of
from tests.contract.tasks import run_task
from tests.contract.test_ownership import Killed, Task
from tests.unit.support import FakeStateStore, FakeTaskInstance

SHAPE = "VM.Standard.E4.Flex"
EXECUTOR_LOST = "ExecutorLostFailure: The executor with id 1 exited with exit code 137(SIGKILL)."
DRIVER_LOST = "java.lang.OutOfMemoryError: Java heap space"
ON_CAUSE = {
    "executor_memory": [
        {"executor_shape_config": {"memory_in_gbs": 64}},
        {"executor_shape_config": {"memory_in_gbs": 128}, "num_executors": 2},
    ],
    "driver_memory": {"driver_shape_config": {"memory_in_gbs": 32}},
}
SUCCESS = RunScript(outcome="SUCCEEDED")


def fails(details: str = "exit code 1", **script: Any) -> RunScript:
    return RunScript(outcome="FAILED", details=details, **script)


@pytest.fixture
def local(manual_clock: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    monkeypatch.setattr(RunAcquirer, "pauses", AcquirePauses(refusal=0.01, read=0.01, list=0.05))
    return manual_clock


@pytest.fixture(params=["recorded", "unrecorded"])
def task(request: pytest.FixtureRequest, local: DataFlowFixture, mocker: Any) -> FlexibleTask:
    return FlexibleTask(local, mocker, FakeStateStore() if request.param == "recorded" else None)


def create_application(local: DataFlowFixture) -> str:
    config = oci.data_flow.models.ShapeConfig(ocpus=2, memory_in_gbs=16)
    created = target_of(local).create_application(
        "hello.py",
        driver_shape=SHAPE,
        driver_shape_config=config,
        executor_shape=SHAPE,
        executor_shape_config=config,
    )
    return str(created.id)


class FlexibleTask(Task):
    """Task of an application with flexible shapes of 2 OCPUs and 16 GB, and with ``on_cause``."""

    def __init__(self, local: DataFlowFixture, mocker: Any, store: FakeStateStore | None) -> None:
        super().__init__(local, mocker, store)
        self.application_id = create_application(local)
        self.max_tries = 5

    def operator(self, **kwargs: Any) -> InvokeRunOperator:
        return super().operator(**{"on_cause": ON_CAUSE} | kwargs)

    def failed(self, first: bool = False, **kwargs: Any) -> DataFlowError:
        """Run a try that fails. Return its error."""
        with pytest.raises(DataFlowError) as failure:
            self.run(**kwargs) if first else self.retry(**kwargs)
        return failure.value

    def sizes(self) -> list[tuple[float, float, int]]:
        """Return the memory of the driver and of each executor, and the number of executors, of each run."""
        return [
            (
                run["driverShapeConfig"]["memoryInGBs"],
                run["executorShapeConfig"]["memoryInGBs"],
                run["numExecutors"],
            )
            for run in self.local.runs
        ]


def test_run_after_executor_out_of_memory_is_larger(task):
    task.local.course(fails(EXECUTOR_LOST), SUCCESS)
    error = task.failed(first=True)
    assert (error.cause, error.next_run_differs) == ("executor_memory", True)
    task.retry()
    assert task.sizes() == [(16, 16, 1), (16, 64, 1)]
    assert [run["executorShapeConfig"]["ocpus"] for run in task.local.runs] == [2, 2]
    assert "airflow_on_cause" not in task.local.runs[0]["freeformTags"]
    assert task.local.runs[1]["freeformTags"]["airflow_on_cause"] == "executor_memory"


def test_cause_is_also_found_in_the_log(task):
    trace = "Traceback (most recent call last):\n  collect()\nMemoryError\n"
    task.local.course(fails(stderr=trace), SUCCESS)
    assert task.failed(first=True).cause == "driver_memory"
    task.retry()
    assert task.sizes() == [(16, 16, 1), (32, 16, 1)]


def test_steps_follow_each_other_and_then_the_last_one_stays(task):
    task.local.course(fails(EXECUTOR_LOST), fails(DRIVER_LOST), fails(EXECUTOR_LOST))
    differs = [task.failed(first=number == 0).next_run_differs for number in range(5)]
    assert task.sizes() == [(16, 16, 1), (16, 64, 1), (32, 64, 1), (32, 128, 2), (32, 128, 2)]
    assert differs == [True, True, True, False, False]


def test_other_cause_changes_nothing(task):
    task.local.course(fails("Out of host capacity."), fails("odd"), SUCCESS)
    assert task.failed(first=True).next_run_differs is False
    assert task.failed().cause is None
    task.retry()
    assert task.sizes() == [(16, 16, 1)] * 3


def test_clear_starts_over_from_the_settings_of_the_author(task):
    task.local.course(fails(EXECUTOR_LOST), fails(EXECUTOR_LOST), fails(EXECUTOR_LOST), SUCCESS)
    task.failed(first=True)
    task.failed()
    with pytest.raises(RunFailed):
        task.clear()
    assert task.sizes() == [(16, 16, 1), (16, 64, 1), (16, 16, 1)]
    task.retry()
    assert task.sizes()[3] == (16, 64, 1)


def test_clear_after_lowering_retries_starts_over_too(task):
    """``max_tries`` is then the same as before the clear."""
    task.local.course(fails(EXECUTOR_LOST), SUCCESS)
    task.failed(first=True)
    task.fields["task"] = SimpleNamespace(retries=task.max_tries - 1)
    task.retry()
    assert task.sizes() == [(16, 16, 1)] * 2


def test_setting_of_the_author_is_the_base_of_a_step(task):
    task.local.course(fails(EXECUTOR_LOST), SUCCESS)
    own = {"executor_shape_config": {"ocpus": 4, "memory_in_gbs": 24}, "executor_shape": SHAPE}
    task.failed(first=True, **own)
    task.retry(**own)
    assert [run["executorShapeConfig"] for run in task.local.runs] == [
        {"ocpus": 4, "memoryInGBs": 24},
        {"ocpus": 4, "memoryInGBs": 64},
    ]


@pytest.mark.parametrize("is_sent", [False, True])
def test_worker_that_is_lost_at_the_second_submit_leads_to_one_larger_run(task, is_sent):
    task.local.course(fails(EXECUTOR_LOST), RunScript(outcome="IN_PROGRESS"))
    task.failed(first=True)
    task.try_number += 1
    real = DataFlowClient.create_run

    def killed(*args: Any) -> Any:
        if is_sent:
            real(*args)
        raise Killed

    task.mocker.patch.object(DataFlowClient, "create_run", killed)
    with pytest.raises(Killed):
        task.run()
    task.mocker.stopall()
    task.mocker.patch("airflow_provider_dataflow.client.wait.sleep", side_effect=Killed)
    with pytest.raises(Killed):
        task.retry()
    assert task.sizes() == [(16, 16, 1), (16, 64, 1)]
    assert task.ti.xcoms["run_id"] == task.local.runs_created[1]


def test_lost_response_of_the_second_submit_repeats_the_same_body(task):
    task.local.course(fails(EXECUTOR_LOST), SUCCESS)
    task.failed(first=True)
    task.local.add_fault("lost_response", operation="CreateRun", count=2)
    task.retry()
    assert task.sizes() == [(16, 16, 1), (16, 64, 1)]


def test_record_keeps_settings_of_a_submit_whose_on_cause_is_edited(local, mocker):
    """A repeated submit sends what was recorded, since another body would invalidate the token."""
    task = FlexibleTask(local, mocker, FakeStateStore())
    local.course(fails(EXECUTOR_LOST), SUCCESS)
    task.failed(first=True)
    task.try_number += 1
    patch = mocker.patch.object(DataFlowClient, "create_run", side_effect=Killed)
    with pytest.raises(Killed):
        task.run()
    mocker.stop(patch)
    record = task.store.get(RECORD_KEY)
    assert record["causes"] == ["executor_memory"]
    assert record["settings"] == {"executor_shape_config": {"ocpus": 2, "memoryInGBs": 64}}
    task.retry(on_cause={"executor_memory": {"num_executors": 8}})
    assert task.sizes() == [(16, 16, 1), (16, 64, 1)]


def test_without_tags_the_record_or_the_token_tells_the_settings(task):
    task.local.course(fails(EXECUTOR_LOST), fails(EXECUTOR_LOST), SUCCESS)
    task.failed(first=True, airflow_tags=False)
    task.failed(airflow_tags=False)
    task.retry(airflow_tags=False)
    assert task.sizes() == [(16, 16, 1), (16, 64, 1), (16, 128, 2)]


def test_deferred_task_gets_a_larger_run(scripted, monkeypatch):
    poll_at_once(monkeypatch)
    application_id = create_application(scripted)
    scripted.course(fails(EXECUTOR_LOST), SUCCESS)
    store, deferrals = FakeStateStore(), []

    def operator() -> InvokeRunOperator:
        return InvokeRunOperator(
            task_id="task",
            application_id=application_id,
            deferrable=True,
            on_cause=ON_CAUSE,
            poll_interval=0.05,
        )

    with pytest.raises(RunFailed) as failure:
        run_task(operator, FakeTaskInstance(max_tries=2), task_state_store=store, deferrals=deferrals)
    assert failure.value.next_run_differs
    second = FakeTaskInstance(try_number=2, max_tries=2)
    run_task(operator, second, task_state_store=store, deferrals=deferrals)
    assert [run["executorShapeConfig"]["memoryInGBs"] for run in scripted.runs] == [16, 64]
    assert len(deferrals) == 2


# --- Fail at once --------------------------------------------------------------------------------------

MISSING_MODULE = fails(stderr="Traceback (most recent call last):\nModuleNotFoundError: No module named 'x'")


def test_permanent_error_fails_the_task_without_retries(task):
    task.local.course(MISSING_MODULE)
    with pytest.raises(AirflowFailException) as failure:
        task.run(retry_permanent_errors=False)
    assert isinstance(failure.value, NotRetried)
    assert failure.value.error.cause == "module_missing"
    assert task.local.runs_created[0] in str(failure.value)
    assert "Not retried: module_missing" in str(failure.value)


def test_refused_submit_fails_the_task_without_retries(task):
    with pytest.raises(AirflowFailException, match="SubmitRejected") as failure:
        task.run(retry_permanent_errors=False, application_id="ocid1.dataflowapplication.oc1..missing")
    assert failure.value.error.cause == "not_authorized"
    assert task.local.runs_created == []


@pytest.mark.parametrize(
    ("script", "cause"),
    [(fails("Out of host capacity."), "no_capacity"), (fails(EXECUTOR_LOST), "executor_memory")],
)
def test_failure_that_a_retry_may_mend_is_retried(task, script, cause):
    """Executors without memory are, since the next run has more."""
    task.local.course(script)
    assert task.failed(first=True, retry_permanent_errors=False).cause == cause


def test_settings_that_are_used_up_fail_the_task(task):
    task.local.course(fails(DRIVER_LOST))
    task.failed(first=True, retry_permanent_errors=False)
    with pytest.raises(AirflowFailException, match="driver_memory"):
        task.retry(retry_permanent_errors=False)


def test_permanent_error_does_not_leave_the_run_of_a_lost_worker(task):
    """The try that fails has not found the run yet, so that another one has to."""
    task.local.course(RunScript(outcome="IN_PROGRESS"))
    task.mocker.patch("airflow_provider_dataflow.client.wait.sleep", side_effect=Killed)
    with pytest.raises(Killed):
        task.run()
    (run_id,) = task.local.runs_created
    with pytest.raises(InvalidArgument) as failure:
        task.retry(retry_permanent_errors=False, num_executors="{{ none }}")
    assert failure.value.earlier_run_may_exist
    with pytest.raises(Killed):
        task.retry(retry_permanent_errors=False)
    assert task.local.runs_created == [run_id]
    assert task.states() == ["IN_PROGRESS"]


def test_refused_submit_of_an_earlier_try_has_left_no_run(local, mocker):
    """Before Airflow 3.3, nothing is recorded, so that the task cannot know."""
    task = FlexibleTask(local, mocker, FakeStateStore())
    missing = {"application_id": "ocid1.dataflowapplication.oc1..missing"}
    task.failed(first=True, **missing)
    with pytest.raises(AirflowFailException):
        task.retry(retry_permanent_errors=False, **missing)


def test_record_that_cannot_be_read_replaces_no_error(local, mocker):
    task = FlexibleTask(local, mocker, FakeStateStore())
    task.failed(first=True, num_executors="{{ none }}")
    mocker.patch.object(task.store, "get", side_effect=ConnectionError("no API server"))
    error = task.failed(retry_permanent_errors=False, num_executors="{{ none }}")
    assert isinstance(error, InvalidArgument)
    assert error.earlier_run_may_exist


def test_cancelled_run_has_no_cause_from_its_log(task):
    """The driver may have survived what it logged."""
    task.local.course(RunScript(outcome="CANCELED", stderr=f"WARN {EXECUTOR_LOST}"), SUCCESS)
    assert task.failed(first=True, retry_permanent_errors=False).cause is None
    task.retry()
    assert task.sizes() == [(16, 16, 1), (16, 16, 1)]


def test_permanent_errors_are_retried_by_default(task):
    task.local.course(MISSING_MODULE)
    assert task.failed(first=True).cause == "module_missing"


# --- Policy --------------------------------------------------------------------------------------------

needs_policies = pytest.mark.skipif(
    compat.retry_policies() is None, reason="needs retry policies (Airflow 3.3)"
)


@needs_policies
@pytest.mark.parametrize(
    ("script", "action"),
    [
        (MISSING_MODULE, "fail"),
        (fails("Out of host capacity."), "retry"),
        (fails(EXECUTOR_LOST), "retry"),
        (fails("Reason: worker lost"), "retry"),
        (fails("odd"), "default"),
    ],
)
def test_policy_decides_about_the_error_of_a_real_run(task, script, action):
    task.local.course(script)
    error = task.failed(first=True)
    assert DataFlowRetryPolicy().evaluate(error, 1, 5).action.value == action


@needs_policies
def test_policy_fails_the_task_when_larger_runs_did_not_help(task):
    task.local.course(fails(DRIVER_LOST))
    policy = DataFlowRetryPolicy()
    actions = [policy.evaluate(task.failed(first=first), 1, 5).action.value for first in (True, False)]
    assert actions == ["retry", "fail"]
    assert task.sizes() == [(16, 16, 1), (32, 16, 1)]


@needs_policies
def test_policy_that_ends_the_retries_leaves_no_active_run(task, mocker):
    """No try would re-attach to it."""
    task.local.keeps_running()
    refusal = SubmitRejected(operation="PutXCom", message="no", status=403)
    mocker.patch("airflow_provider_dataflow.operators.run.InvokeRunOperator._push_run", side_effect=refusal)
    task.failed(first=True)
    assert task.states() != ["CANCELED"]
    task.failed(retry_policy=DataFlowRetryPolicy())
    assert task.states() == ["CANCELED"]
