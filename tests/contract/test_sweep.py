"""The sweep cancels what ended tasks have left: through the real SDK, with a fake of Airflow's database."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from itertools import pairwise

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dataflow.compat import deployment_id
from airflow_provider_dataflow.listeners import sweep
from airflow_provider_dataflow.listeners.ended_tasks import EndedTask
from airflow_provider_dataflow.listeners.sweep import (
    GRACE_SECONDS,
    MAX_ATTEMPTS,
    MAX_PAUSE_SECONDS,
    Sweeper,
)
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.xcom_keys import DEFERRED_TRIGGER, RUN_ID
from tests.contract.conftest import target_of
from tests.unit.support import FakeTaskInstance

INTERVAL = 15.0


class Database:
    """Fake of Airflow's database: the ended tasks whose XCom of the trigger is there."""

    def __init__(self) -> None:
        self.tasks: list[EndedTask] = []
        self.cleared: set[TaskIdentity] = set()

    def forget(self, task: EndedTask) -> None:
        self.tasks = [each for each in self.tasks if each.identity != task.identity]


@pytest.fixture
def database(monkeypatch):
    database = Database()
    monkeypatch.setattr(sweep, "find_ended_tasks", lambda: list(database.tasks))
    monkeypatch.setattr(sweep, "has_still_ended", lambda task: task.identity not in database.cleared)
    monkeypatch.setattr(sweep, "forget", database.forget)
    return database


@pytest.fixture
def local(scripted: DataFlowFixture) -> DataFlowFixture:
    scripted.keeps_running()
    return scripted


@pytest.fixture
def application_id(local) -> str:
    return target_of(local).create_application("hello.py").id


def deferred(operator) -> FakeTaskInstance:
    """Run an operator until it defers."""
    ti = FakeTaskInstance(operator.task_id)
    with pytest.raises(TaskDeferred):
        operator.execute({"ti": ti})
    return ti


def ended(ti: FakeTaskInstance, state: str = "failed") -> EndedTask:
    return EndedTask(TaskIdentity.of(ti), 1, state, ti.xcoms.get(DEFERRED_TRIGGER), ended_itself=False)


@pytest.fixture
def task(local, application_id) -> EndedTask:
    """A task that was killed while it was deferred."""
    return ended(deferred(InvokeRunOperator(task_id="task", application_id=application_id, deferrable=True)))


def states(local: DataFlowFixture) -> list[str]:
    return [run["lifecycleState"] for run in local.runs]


def sweep_twice(sweeper: Sweeper) -> None:
    for now in (0.0, GRACE_SECONDS):
        sweeper.sweep(now)


def test_run_of_killed_task_is_cancelled_after_the_time_of_its_trigger(local, database, task, caplog):
    caplog.set_level(logging.WARNING)
    database.tasks = [task]
    sweeper = Sweeper(INTERVAL)
    local.clear_journal()
    for now in (0, INTERVAL, GRACE_SECONDS - 1):
        sweeper.sweep(now)
    assert not local.journal()
    sweeper.sweep(GRACE_SECONDS)
    assert states(local) == ["CANCELED"]
    assert database.tasks == []
    (run,) = local.runs
    assert run["id"] in caplog.text
    assert "is failed, but no trigger knew" in caplog.text
    assert local.journal()[-1]["user_agent"].endswith("(triggerer)")


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "removed"])
def test_marked_task_loses_its_run(local, database, task, state):
    database.tasks = [replace(task, state=state)]
    sweep_twice(Sweeper(INTERVAL))
    assert states(local) == ["CANCELED"]


def test_task_that_ended_itself_is_forgotten_without_a_request(local, database, task):
    database.tasks = [replace(task, ended_itself=True)]
    local.clear_journal()
    Sweeper(INTERVAL).sweep(0)
    assert database.tasks == []
    assert not local.journal()


def test_task_that_is_cleared_meanwhile_keeps_its_run(local, database, task):
    database.tasks = [task]
    database.cleared = {task.identity}
    sweep_twice(Sweeper(INTERVAL))
    assert states(local) == ["IN_PROGRESS"]


def test_task_that_was_found_with_another_trigger_counts_as_new(local, database, task):
    sweeper = Sweeper(INTERVAL)
    other = {"classpath": task.trigger["classpath"], "kwargs": task.trigger["kwargs"] | {"run_id": "other"}}
    database.tasks = [replace(task, trigger=other)]
    sweeper.sweep(0)
    database.tasks = [task]
    sweeper.sweep(GRACE_SECONDS)
    assert states(local) == ["IN_PROGRESS"]


def test_ended_run_gets_no_cancel(local, database, task):
    local.end_run(task.trigger["kwargs"]["run_id"])
    database.tasks = [task]
    local.clear_journal()
    sweep_twice(Sweeper(INTERVAL))
    assert [entry["operation"] for entry in local.journal()] == ["GetRun"]
    assert database.tasks == []


@pytest.mark.parametrize("change", [{"dag_id": "other"}, {"map_index": 3}])
def test_run_with_the_tags_of_another_task_is_kept(local, database, task, change, caplog):
    caplog.set_level(logging.WARNING)
    database.tasks = [replace(task, identity=replace(task.identity, **change))]
    sweep_twice(Sweeper(INTERVAL))
    assert states(local) == ["IN_PROGRESS"]
    assert "is not cancelled: its tags name" in caplog.text


def test_run_of_another_deployment_is_kept(local, database, task, monkeypatch):
    """For example in a copy of the database."""
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__DEPLOYMENT_ID", f"not {deployment_id()}")
    database.tasks = [task]
    sweep_twice(Sweeper(INTERVAL))
    assert states(local) == ["IN_PROGRESS"]


def test_run_without_tags_is_cancelled(local, database, application_id):
    operator = InvokeRunOperator(
        task_id="task", application_id=application_id, deferrable=True, airflow_tags=False
    )
    database.tasks = [ended(deferred(operator))]
    sweep_twice(Sweeper(INTERVAL))
    assert states(local) == ["CANCELED"]


def test_run_that_a_kill_does_not_cancel_is_not_recorded(application_id):
    operator = InvokeRunOperator(
        task_id="task", application_id=application_id, deferrable=True, cancel_on_kill=False
    )
    ti = deferred(operator)
    assert ti.xcoms[RUN_ID]
    assert ti.xcoms.get(DEFERRED_TRIGGER) is None


def test_failed_cancels_are_repeated_with_growing_pauses_and_disturb_no_other(
    local, database, task, application_id, caplog
):
    local.add_fault("status", status=404, operation="GetRun", resource_id=task.trigger["kwargs"]["run_id"])
    other = ended(deferred(InvokeRunOperator(task_id="b", application_id=application_id, deferrable=True)))
    database.tasks = [task, other]
    attempts = []
    sweeper = Sweeper(INTERVAL)
    now = 0.0
    while database.tasks:
        local.clear_journal()
        sweeper.sweep(now)
        if any(entry["status"] == 404 for entry in local.journal()):
            attempts.append(now)
        now += INTERVAL
        assert now < 2 * MAX_ATTEMPTS * MAX_PAUSE_SECONDS
    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_PAUSE_SECONDS
    assert len(attempts) == MAX_ATTEMPTS
    assert "giving up" in caplog.text
    assert sorted(states(local)) == ["CANCELED", "IN_PROGRESS"]


@pytest.mark.parametrize(
    "stored",
    [
        None,
        7,
        "text",
        {},
        {"classpath": "os.system", "kwargs": {"command": "false"}},
        {"classpath": "airflow_provider_dataflow.triggers.cancel_on_kill.call_with_timeout", "kwargs": {}},
        {"classpath": "airflow_provider_dataflow.triggers.cancel_on_kill.no_such_class", "kwargs": {}},
    ],
)
def test_xcom_that_holds_no_trigger_is_removed(local, database, task, stored):
    database.tasks = [replace(task, trigger=stored)]
    sweep_twice(Sweeper(INTERVAL))
    assert database.tasks == []
    assert states(local) == ["IN_PROGRESS"]


def test_function_that_an_xcom_names_is_not_called(database, task, mocker):
    """A DAG author writes XComs; this process has Airflow's database."""
    function = mocker.patch("airflow_provider_dataflow.triggers.cancel_on_kill.call_with_timeout")
    stored = {
        "classpath": "airflow_provider_dataflow.triggers.cancel_on_kill.call_with_timeout",
        "kwargs": {},
    }
    database.tasks = [replace(task, trigger=stored)]
    sweep_twice(Sweeper(INTERVAL))
    function.assert_not_called()


def test_trigger_of_a_try_that_starts_during_the_cancel_is_kept(local, database, task, mocker):
    database.tasks = [task]
    cancel = sweep.cancel_leftover

    def cancel_and_clear(ended):
        outcome = cancel(ended)
        database.cleared = {ended.identity}
        return outcome

    mocker.patch.object(sweep, "cancel_leftover", cancel_and_clear)
    sweep_twice(Sweeper(INTERVAL))
    assert states(local) == ["CANCELED"]
    assert database.tasks == [task]


def test_fork_waits_for_a_sweep():
    """A lock that a sweep holds at the moment of a fork would never be released in the child process."""
    forked = threading.Event()

    def fork() -> None:
        if (pid := os.fork()) == 0:
            os._exit(0)
        forked.set()
        os.waitpid(pid, 0)

    with sweep._not_forking:
        thread = threading.Thread(target=fork)
        thread.start()
        assert not forked.wait(0.5)
    assert forked.wait(30)
    thread.join()
