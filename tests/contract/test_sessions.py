"""DataFlowSession through the real SDK: all tasks of the group, failures, kills and the idle timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import DAG

from airflow_provider_dataflow.exceptions import DataFlowError, RunError, StatementFailed
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.session import DataFlowSession
from tests.contract.conftest import Target, target_of
from tests.contract.tasks import run_task
from tests.unit.support import FakeTaskInstance


@pytest.fixture
def local(clock_of_waits: DataFlowFixture) -> DataFlowFixture:
    return clock_of_waits


@pytest.fixture
def target(local: DataFlowFixture) -> Target:
    return target_of(local)


class SessionUnderTest:
    """Session in a DAG whose tasks the test runs one by one, as Airflow does.

    :param code: code of the statements, by the names of their tasks.
    """

    def __init__(self, target: Target, code: dict[str, str], **arguments: Any) -> None:
        self.target = target
        application = target.create_application("none.py", type="SESSION", file_uri=None)
        with (
            DAG("dag", schedule=None),
            DataFlowSession(application_id=application.id, poll_interval=0.01, **arguments) as group,
        ):
            for task_id, text in code.items():
                group.statement(task_id, text)
        self.group = group
        self.xcoms: dict[str, Any] = {}

    @property
    def run(self) -> Any:
        return self.target.client.get_run(self.xcoms["session.start"]).data

    def do(self, name: str, **options: Any) -> Any:
        """Run a task of the group to its end."""
        task = self.task(name)
        result = run_task(lambda: task, FakeTaskInstance(task.task_id), **options)
        self.xcoms[task.task_id] = result
        return result

    def task(self, name: str) -> Any:
        task: Any = self.group.children[f"session.{name}"]
        if name != "start":
            task.run_id = self.xcoms["session.start"]
        return task

    def do_all(self, names: Iterable[str]) -> list[Any]:
        return [self.do(name) for name in names]


def test_statements_share_a_session_that_ends(local, target, deferrable):
    session = SessionUnderTest(target, {"first": "1", "second": "2"}, deferrable=deferrable)
    deferrals: list[str] = []
    session.do("start", deferrals=deferrals, while_deferred=lambda: local.advance(1))
    assert (session.run.type, session.run.lifecycle_state) == ("SESSION", "IN_PROGRESS")
    assert session.run.idle_timeout_in_minutes == 60
    assert [session.do(name, deferrals=deferrals) for name in ("first", "second")] == ["1", "2"]
    assert session.do("end", deferrals=deferrals) == "STOPPED"
    assert session.run.lifecycle_state == "STOPPED"
    assert ("StatementTrigger" in deferrals) == deferrable
    local.assert_requests(CreateRun=1, CreateStatement=2, DeleteRun=1)


def test_end_stops_session_after_failed_statement(target, deferrable):
    session = SessionUnderTest(target, {"fails": "raise ValueError('no')"}, deferrable=deferrable)
    session.do("start")
    with pytest.raises(StatementFailed) as caught:
        session.do("fails")
    assert "ValueError: no" in str(caught.value)
    assert session.run.lifecycle_state == "IN_PROGRESS"
    assert session.do("end") == "STOPPED"


def test_table_is_the_result(target):
    code = "[Row(airport='EWR', hours=743)]"
    session = SessionUnderTest(target, {})
    session.do("start")
    with session.group as group:
        group.statement("table", code, output_format="table")
    assert session.do("table") == [{"airport": "EWR", "hours": 743}]


@pytest.mark.parametrize("minutes", [5, 60])
def test_idle_session_is_stopped_and_refuses_statements(local, target, minutes):
    session = SessionUnderTest(
        target, {"first": "1", "second": "2", "late": "3"}, idle_timeout_in_minutes=minutes
    )
    session.do_all(["start", "first"])
    local.advance((minutes - 1) * 60)
    assert session.do("second") == "2"
    local.advance((minutes - 1) * 60)
    assert session.run.lifecycle_state == "IN_PROGRESS"
    local.advance(2 * 60)
    assert session.run.lifecycle_state == "STOPPED"
    with pytest.raises(RunError, match=f"idle for {minutes} minutes"):
        session.do("late")
    assert session.do("end") == "STOPPED"
    local.assert_requests(CreateStatement=2, DeleteRun=0)


def test_start_that_is_killed_while_it_waits_cancels_the_session(local, target):
    session = SessionUnderTest(target, {}, configuration={"spark.dataflow.emulator.startup": "3600"})
    task = session.task("start")
    ti = FakeTaskInstance(task.task_id)

    def kill() -> None:
        task.on_kill()

    original = task._raise_if_killed

    def kill_once() -> None:
        if "run_id" in ti.xcoms and not task._killed:
            kill()
        original()

    task._raise_if_killed = kill_once
    with pytest.raises(DataFlowError):
        run_task(lambda: task, ti)
    assert target.client.get_run(ti.xcoms["run_id"]).data.lifecycle_state == "CANCELED"


def test_deferred_statement_that_is_killed_is_cancelled_and_session_stays(local, target):
    session = SessionUnderTest(target, {"waits": "1"}, deferrable=True)
    session.do("start", while_deferred=lambda: local.advance(1))
    task = session.task("waits")
    ti = FakeTaskInstance(task.task_id)
    with pytest.raises(TaskDeferred) as caught:
        task.execute({"ti": ti})
    trigger = caught.value.trigger
    assert trigger.cancel_on_kill
    asyncio.run(trigger.on_kill())
    assert "DeleteStatement" in local.requests_by_operation
    assert session.run.lifecycle_state == "IN_PROGRESS"
    assert session.do("end") == "STOPPED"
