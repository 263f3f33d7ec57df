"""RunStatementOperator in cases that the scripted engine cannot produce: long statements, kills, outages."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dataflow.client import wait as waiting
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    RunError,
    ServiceError,
    StatementCanceled,
    StatementFailed,
    StatementLost,
    StatementTimedOut,
)
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.statement import Statement
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from tests.unit.support import RUN_ID, FakeTaskInstance, run_body


class FakeStatements:
    def __init__(self):
        self.states = ["IN_PROGRESS", "SUCCEEDED"]
        self.output = {"status": "OK", "data": {"type": "TEXT_PLAIN", "value": "42"}}
        self.cancelled = []
        self.cancel_error = None
        self.on_create = lambda: None

    def create(self, run_id, details):
        self.on_create()
        return Statement(7, "ACCEPTED", run_id=run_id, code=details.code)

    def get(self, run_id, statement_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return Statement(statement_id, state, run_id=run_id, output=self.output)

    def cancel(self, run_id, statement_id):
        if self.cancel_error:
            raise self.cancel_error
        self.cancelled.append((run_id, statement_id))


@pytest.fixture
def statements(client, mocker):
    client.statements = FakeStatements()
    client.run_states = ["IN_PROGRESS"]

    def get_run(run_id):
        state = client.run_states.pop(0) if len(client.run_states) > 1 else client.run_states[0]
        return Run.from_api(run_body(state, type="SESSION"))

    client.get_run = get_run
    mocker.patch.object(waiting, "sleep", lambda seconds, check: check())
    return client.statements


@pytest.fixture
def ti():
    return FakeTaskInstance()


def operator(**kwargs) -> RunStatementOperator:
    return RunStatementOperator(task_id="task", run_id=RUN_ID, **{"code": "6 * 7"} | kwargs)


def test_output_is_the_result(statements, ti):
    assert operator().execute({"ti": ti}) == "42"
    assert ti.xcoms["statement_id"] == 7
    assert statements.cancelled == []


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (None, None),
        ({"status": "OK", "data": None}, None),
        ({"status": "OK", "data": {"type": "TEXT_HTML", "value": "<b>"}}, "<b>"),
        ({"status": "OK", "data": {"type": "IMAGE_PNG", "value": "iVBO"}}, None),
    ],
)
def test_only_text_output_is_returned(statements, ti, output, result):
    statements.output = output
    assert operator().execute({"ti": ti}) == result


ROWS = "[Row(n=1, s='MARKED-1'), Row(n=2, s='b'), Row(n=3, s='c')]"


def test_table_is_returned_as_bounded_rows_without_secrets(statements, ti):
    statements.output = {"status": "OK", "data": {"type": "TEXT_PLAIN", "value": ROWS}}
    task = operator(output_format="table", max_output_length=50, code="connect(password='MARKED-1')")
    assert task.execute({"ti": ti}) == [{"n": 1, "s": "***"}, {"n": 2, "s": "b"}]


def test_output_without_table_is_returned_as_text(statements, ti):
    assert operator(output_format="table").execute({"ti": ti}) == "42"


def test_secret_in_code_is_hidden_in_the_result(statements, ti):
    statements.output = {"status": "OK", "data": {"type": "TEXT_PLAIN", "value": "as MARKED-1, MARKED-2"}}
    task = operator(code="connect(password='MARKED-1')")
    assert task.execute({"ti": ti}) == "as ***, MARKED-2"


def test_error_output_fails_task_in_any_state(statements, ti):
    statements.output = {"status": "ERROR", "errorName": "E", "errorValue": "v", "traceback": ["x"] * 100}
    with pytest.raises(StatementFailed) as caught:
        operator().execute({"ti": ti})
    assert len(caught.value.traceback) == 20
    assert "E: v" in str(caught.value)


def test_cancelled_statement_fails_task(statements, ti):
    statements.states = ["CANCELLED"]
    with pytest.raises(StatementCanceled):
        operator().execute({"ti": ti})


def test_statement_is_lost_if_session_ends(statements, client, ti):
    statements.states = ["IN_PROGRESS"]
    client.run_states = ["IN_PROGRESS", "IN_PROGRESS", "STOPPED"]
    with pytest.raises(StatementLost, match="its session has ended"):
        operator().execute({"ti": ti})


def test_kill_cancels_statement_and_ends_wait(statements, ti, mocker):
    statements.states = ["IN_PROGRESS"]
    task = operator()

    def killed(seconds, check):
        task.on_kill()
        check()

    mocker.patch.object(waiting, "sleep", killed)
    with pytest.raises(DataFlowError, match="killed"):
        task.execute({"ti": ti})
    assert statements.cancelled == [(RUN_ID, 7)]


def test_kill_during_create_cancels_statement(statements, ti):
    task = operator()
    statements.on_create = task.on_kill
    with pytest.raises(DataFlowError, match="killed"):
        task.execute({"ti": ti})
    assert statements.cancelled == [(RUN_ID, 7)]


def test_kill_keeps_statement_without_cancel_on_kill(statements, ti):
    task = operator(cancel_on_kill=False)
    statements.on_create = task.on_kill
    with pytest.raises(DataFlowError, match="killed"):
        task.execute({"ti": ti})
    assert statements.cancelled == []


def test_kill_before_create_sends_nothing(statements, client, ti):
    client.run_states = ["ACCEPTED", "IN_PROGRESS"]
    task = operator()
    statements.on_create = lambda: pytest.fail("sent")
    task._killed = True
    with pytest.raises(DataFlowError, match="killed"):
        task.execute({"ti": ti})


def test_timeout_cancels_statement(statements, ti):
    statements.states = ["IN_PROGRESS"]
    with pytest.raises(StatementTimedOut, match="Its cancel was requested"):
        operator(timeout=1e-9).execute({"ti": ti})
    assert statements.cancelled == [(RUN_ID, 7)]


def test_unreadable_statement_is_lost_after_error_budget(statements, ti):
    statements.states = [ServiceError(operation="GetStatement", message="no", status=404)]
    statements.cancel_error = ServiceError(operation="DeleteStatement", message="no", status=404)
    with pytest.raises(StatementLost, match="could not be cancelled and may still be running"):
        operator(error_budget=0.001).execute({"ti": ti})


def deferred(ti) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        operator(deferrable=True).execute({"ti": ti})
    return caught.value


@pytest.mark.parametrize(("outcome", "error"), [("timeout", StatementTimedOut), ("lost", StatementLost)])
def test_statement_is_cancelled_when_trigger_gives_up(statements, ti, outcome, error):
    method = deferred(ti).method_name
    event = {"outcome": outcome, "run_id": RUN_ID, "statement_id": 7, "state": "IN_PROGRESS"}
    with pytest.raises(error):
        operator(deferrable=True).resume_execution(method, {"event": event}, {"ti": ti})
    assert statements.cancelled == [(RUN_ID, 7)]


def test_statement_is_cancelled_when_trigger_sends_no_event(statements, ti):
    deferred(ti)
    with pytest.raises(DataFlowError, match=f"run_id {RUN_ID} sent no event in time"):
        operator(deferrable=True).resume_execution("__fail__", {"error": "Trigger timeout"}, {"ti": ti})
    assert statements.cancelled == [(RUN_ID, 7)]


def test_statement_is_lost_if_session_ended_while_deferred(statements, client, ti):
    method = deferred(ti).method_name
    statements.states = ["IN_PROGRESS"]
    client.run_states = ["STOPPED"]
    event = {"outcome": "reached", "run_id": RUN_ID, "statement_id": 7, "state": "IN_PROGRESS"}
    with pytest.raises(StatementLost, match="its session has ended"):
        operator(deferrable=True).resume_execution(method, {"event": event}, {"ti": ti})


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_secret_in_code_is_hidden_in_the_exception(statements, ti, state):
    statements.states = [state]
    statements.output = {
        "status": "ERROR",
        "errorName": "ValueError",
        "errorValue": "refused: MARKED-1",
        "traceback": ["----> 1 connect(password='MARKED-1')\n", "ValueError: refused: MARKED-1"],
    }
    with pytest.raises(StatementFailed) as caught:
        operator(code="connect(password='MARKED-1')").execute({"ti": ti})
    assert "MARKED-1" not in f"{caught.value} {vars(caught.value)}"
    assert caught.value.error_value == "refused: ***"
    assert caught.value.traceback[-1] == "ValueError: refused: ***"


def test_failed_statement_without_output_fails_task(statements, ti):
    statements.states, statements.output = ["FAILED"], None
    with pytest.raises(StatementFailed):
        operator().execute({"ti": ti})


def test_secret_in_details_of_ended_session_is_hidden(statements, client, ti):
    client.get_run = lambda run_id: Run.from_api(
        run_body(
            "STOPPED",
            type="SESSION",
            arguments=["--password", "MARKED-1"],
            lifecycleDetails="bad args [--password, MARKED-1]",
        )
    )
    with pytest.raises(RunError) as caught:
        operator().execute({"ti": ti})
    assert caught.value.lifecycle_details == "bad args [--password, ***]"
    assert "MARKED-1" not in str(caught.value)
