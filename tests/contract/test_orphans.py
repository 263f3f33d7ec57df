"""CancelOrphanRunsOperator through the real SDK, with given task states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.operators import orphans
from airflow_provider_dataflow.operators.orphans import CancelOrphanRunsOperator, orphan_reason
from airflow_provider_dataflow.ownership.tags import TaskTags
from airflow_provider_dataflow.ownership.task_state import TaskState
from tests.contract.conftest import target_of

DEPLOYMENT = "https://airflow.example.com"
TAGS = TaskTags(TaskIdentity("dag", "run", "task"), try_number=1, token="t", deployment=DEPLOYMENT)


@pytest.fixture
def local(scripted: DataFlowFixture) -> DataFlowFixture:
    scripted.keeps_running()
    return scripted


@pytest.fixture
def submit(local: DataFlowFixture) -> Callable[..., str]:
    target = target_of(local)
    application_id = target.create_application("hello.py").id

    def submit(tags: TaskTags | dict[str, str] = TAGS) -> str:
        freeform = tags.tags() if isinstance(tags, TaskTags) else tags
        run_id: str = target.submit(application_id, freeform_tags=freeform).id
        target.wait(run_id, lambda run: run.lifecycle_state == "IN_PROGRESS")
        return run_id

    return submit


def cancel(state: TaskState | Exception, mocker: Any, **kwargs: Any) -> list[str]:
    read = mocker.patch.object(orphans, "read_task_state")
    read.side_effect = state if isinstance(state, Exception) else None
    read.return_value = state
    arguments: dict[str, Any] = {"deployment_id": DEPLOYMENT, "min_age_in_minutes": 0}
    return CancelOrphanRunsOperator(task_id="task", **arguments | kwargs).execute({})


GONE = TaskState(exists=False)


def test_run_whose_task_is_gone_is_cancelled(local, submit, mocker):
    orphan = submit()
    assert cancel(GONE, mocker) == [orphan]
    assert local.run_states(orphan)[-1] == "CANCELED"
    assert cancel(GONE, mocker) == []


@pytest.mark.parametrize(("run_type", "is_kept"), [("STREAMING", True), ("BATCH", False)])
@pytest.mark.parametrize("state", ["running", "deferred"])
def test_stream_of_waiting_task_is_kept(local, mocker, run_type, is_kept, state):
    """After maintenance, a successor with copied tags is live before its task, which names the run before."""
    target = target_of(local)
    application_id = target.create_application("hello.py", type=run_type).id
    run_id = target.submit(application_id, freeform_tags=TAGS.tags()).id
    waiting = TaskState(exists=True, state=state, xcom="ocid1.dataflowrun.oc1..before")
    assert cancel(waiting, mocker) == ([] if is_kept else [run_id])
    assert cancel(TaskState(exists=True, state="failed"), mocker) == ([run_id] if is_kept else [])


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"airflow_dag_id": "dag"},
        replace(TAGS, deployment="https://another.example.com"),
        replace(TAGS, deployment=""),
        replace(TAGS, outlives_task=True),
    ],
)
def test_runs_of_other_origin_are_kept(local, submit, mocker, tags):
    submit(tags)
    assert cancel(GONE, mocker) == []
    assert local.cancels == []


def test_young_run_is_kept(local, submit, mocker):
    submit()
    assert cancel(GONE, mocker, min_age_in_minutes=15) == []


def test_run_is_kept_if_task_state_is_unknown(local, submit, mocker):
    submit()
    assert cancel(RuntimeError("no answer"), mocker) == []


def test_report_only_cancels_nothing(local, submit, mocker):
    submit()
    assert cancel(GONE, mocker, report_only=True) == []
    assert local.cancels == []


def test_failed_cancels_are_reported_and_others_succeed(local, submit, mocker):
    one, other = submit(), submit()
    local.add_fault("status", status=409, resource_id=one, operation="DeleteRun")
    mocker.patch.object(CancelOrphanRunsOperator, "cancel_timeout_seconds", 0.1)
    with pytest.raises(DataFlowError, match=one):
        cancel(GONE, mocker)
    assert local.cancels == [other]


def test_ambiguous_deployment_is_refused(local, submit, mocker, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://localhost:8080/")
    submit({**TAGS.tags(), "airflow_deployment": "http://localhost:8080"})
    with pytest.raises(InvalidArgument, match="deployment_id: missing"):
        cancel(GONE, mocker, deployment_id=None)


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "upstream_failed", "removed"])
def test_run_of_ended_task_is_orphan(state):
    assert orphan_reason(TaskState(True, state, "r"), "r", "task")


@pytest.mark.parametrize(
    "state", [None, "scheduled", "queued", "up_for_retry", "up_for_reschedule", "restarting", "of tomorrow"]
)
def test_run_of_task_that_will_start_again_is_kept(state):
    assert orphan_reason(TaskState(True, state), "r", "task") is None


@pytest.mark.parametrize("state", ["running", "deferred"])
def test_active_task_keeps_only_its_own_run(state):
    assert orphan_reason(TaskState(True, state, "r"), "r", "task") is None
    assert orphan_reason(TaskState(True, state, None), "r", "task") is None
    assert orphan_reason(TaskState(True, state, "another"), "r", "task")
