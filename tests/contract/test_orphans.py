"""Orphans are cancelled, and nothing else: through the real SDK, with Airflow's answers given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.operators import orphans
from airflow_provider_dataflow.operators.orphans import CancelOrphanRunsOperator, why_orphaned
from airflow_provider_dataflow.ownership.tags import TaskTags
from airflow_provider_dataflow.ownership.task_state import TaskState
from tests.contract.conftest import target_of

HERE = "https://airflow.example.com"
OURS = TaskTags(TaskIdentity("dag", "run", "task"), try_number=1, token="t", deployment=HERE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFlowFixture]:
    with DataFlowFixture(tmp_path_factory.mktemp("orphans"), engine="scripted") as server:
        yield server


@pytest.fixture
def local(server: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    server.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.keeps_running()
    return server


@pytest.fixture
def submit(local: DataFlowFixture) -> Callable[..., str]:
    target = target_of(local)
    application_id = target.create_application("hello.py").id

    def submit(tags: TaskTags | dict[str, str] = OURS) -> str:
        freeform = tags.tags() if isinstance(tags, TaskTags) else tags
        run_id: str = target.submit(application_id, freeform_tags=freeform).id
        target.wait(run_id, lambda run: run.lifecycle_state == "IN_PROGRESS")
        return run_id

    return submit


def cancel(now: TaskState | Exception, mocker: Any, **kwargs: Any) -> list[str]:
    asked = mocker.patch.object(orphans, "read_task_state")
    asked.side_effect = now if isinstance(now, Exception) else None
    asked.return_value = now
    arguments: dict[str, Any] = {"deployment_id": HERE, "min_age_in_minutes": 0}
    return CancelOrphanRunsOperator(task_id="task", **arguments | kwargs).execute({})


GONE = TaskState(exists=False)


def test_a_run_whose_task_is_gone(local, submit, mocker):
    orphan = submit()
    assert cancel(GONE, mocker) == [orphan]
    assert local.run_states(orphan)[-1] == "CANCELED"
    assert cancel(GONE, mocker) == []


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"airflow_dag_id": "dag"},
        replace(OURS, deployment="https://another.example.com"),
        replace(OURS, deployment=""),
        replace(OURS, outlives_task=True),
    ],
)
def test_the_runs_of_others_are_left_alone(local, submit, mocker, tags):
    submit(tags)
    assert cancel(GONE, mocker) == []
    assert local.cancels == []


def test_a_young_run_is_left_alone(local, submit, mocker):
    submit()
    assert cancel(GONE, mocker, min_age_in_minutes=15) == []


def test_where_airflow_cannot_be_asked_the_run_is_left_alone(local, submit, mocker):
    submit()
    assert cancel(RuntimeError("no answer"), mocker) == []


def test_a_report_cancels_nothing(local, submit, mocker):
    submit()
    assert cancel(GONE, mocker, report_only=True) == []
    assert local.cancels == []


def test_what_could_not_be_cancelled_is_said(local, submit, mocker):
    one, other = submit(), submit()
    local.add_fault("status", status=409, resource_id=one, operation="DeleteRun")
    mocker.patch.object(orphans, "CANCEL_TIMEOUT", 0.1)
    with pytest.raises(DataFlowError, match=one):
        cancel(GONE, mocker)
    assert local.cancels == [other]


def test_without_a_name_of_its_own_an_airflow_cancels_nothing(local, submit, mocker, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://localhost:8080/")
    submit({**OURS.tags(), "airflow_deployment": "http://localhost:8080"})
    with pytest.raises(InvalidArgument, match="deployment_id: missing"):
        cancel(GONE, mocker, deployment_id=None)


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "upstream_failed", "removed"])
def test_the_run_of_a_task_that_has_ended_is_an_orphan(state):
    assert why_orphaned(TaskState(True, state, "r"), "r", "task")


@pytest.mark.parametrize(
    "state", [None, "scheduled", "queued", "up_for_retry", "up_for_reschedule", "restarting", "of tomorrow"]
)
def test_a_task_that_will_start_again_comes_back_for_its_run(state):
    assert why_orphaned(TaskState(True, state), "r", "task") is None


@pytest.mark.parametrize("state", ["running", "deferred"])
def test_a_task_under_way_needs_its_own_run_only(state):
    assert why_orphaned(TaskState(True, state, "r"), "r", "task") is None
    assert why_orphaned(TaskState(True, state, None), "r", "task") is None
    assert why_orphaned(TaskState(True, state, "another"), "r", "task")
