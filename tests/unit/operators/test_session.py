"""DataFlowSession: the tasks of the group, their order and their arguments."""

from __future__ import annotations

import logging

import pytest
from airflow.sdk import DAG, task

from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.operators.session import DataFlowSession
from tests.unit.support import APPLICATION_ID


def session(group_id: str = "session", **arguments) -> DataFlowSession:
    return DataFlowSession(group_id, **{"application_id": APPLICATION_ID} | arguments)


@pytest.fixture
def dag():
    with DAG("dag", schedule=None) as dag:
        yield dag


def test_tasks_run_between_setup_and_teardown(dag, caplog):
    caplog.set_level(logging.WARNING)
    with session() as group:
        first = group.statement("first", "1")
        second = group.statement("second", "2")
        first >> second
        group.statement("alone", "3")

        @task
        def inner(): ...

        inner()

    @task
    def after(): ...

    group >> after()
    upstream = {t.task_id.removeprefix("session."): t.upstream_task_ids for t in dag.tasks}
    assert group.start.is_setup
    assert group.end.is_teardown
    assert upstream["start"] == set()
    assert upstream["alone"] == upstream["inner"] == {"session.start"}
    assert upstream["second"] == {"session.start", "session.first"}
    assert upstream["end"] == {"session.start", "session.second", "session.alone", "session.inner"}
    # A failed end must not keep the tasks after the group from running.
    assert upstream["after"] == {"session.second", "session.alone", "session.inner"}
    assert caplog.messages == []


def test_session_that_is_killed_or_fails_is_cancelled_until_it_is_in_progress(dag):
    with session() as group:
        pass
    assert group.start.target_states == ["IN_PROGRESS"]
    assert group.start.cancel_on_kill is True
    assert group.start.idle_timeout_in_minutes == 60
    assert group.end.trigger_rule == "all_done_setup_success"


def test_arguments_reach_the_tasks(dag):
    arguments = {"oci_conn_id": "other", "region": "eu-frankfurt-1", "deferrable": True, "poll_interval": 7}
    with session("s", display_name="nightly", retries=2, idle_timeout_in_minutes="5", **arguments) as group:
        statement = group.statement("a", "1", poll_interval=3, output_format="TABLE")
    for made in (group.start, group.end, statement):
        assert (made.oci_conn_id, made.region, made.deferrable) == ("other", "eu-frankfurt-1", True)
    assert [made.poll_interval for made in (group.start, statement, group.end)] == [7, 3, 7]
    assert (group.start.display_name, group.start.retries) == ("nightly", 2)
    assert (group.start.idle_timeout_in_minutes, statement.output_format) == ("5", "table")


def test_statement_outside_the_block_is_refused(dag):
    group = session()
    with pytest.raises(DataFlowError, match=r"statement\('a'\).* within the with block"):
        group.statement("a", "1")
    with group:
        pass
    with pytest.raises(DataFlowError, match="within the with block"):
        group.statement("a", "1")


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"idle_timeout_in_minutes": 10081}, "idle_timeout_in_minutes"),
        ({"application_id": "x"}, "application_id"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"num_executors": "many"}, "num_executors"),
    ],
)
def test_invalid_argument_is_refused_when_the_dag_is_parsed(dag, arguments, path):
    with pytest.raises(InvalidArgument) as caught:
        session(**arguments)
    assert caught.value.path == path


def test_two_sessions_and_nested_groups(dag):
    with session("outer") as outer, session("inner", application_id=outer.start.output) as inner:
        nested = inner.statement("a", "1")
    assert nested.task_id == "outer.inner.a"
    assert inner.end.task_id in outer.end.upstream_task_ids
    assert outer.start.task_id in inner.start.upstream_task_ids
