from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.api import statements
from airflow_provider_dataflow.local.engines.base import RunOutcome, StatementOutcome
from airflow_provider_dataflow.local.http.messages import JSON
from tests.unit.local.support import COMPARTMENT, FakeEngine, Local


class FakeStatementEngine(FakeEngine):
    """Engine that accepts statements; the test reports their outcomes."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, str]] = []
        self.interrupted: list[int] = []

    def bind_statements(self, finished) -> None:
        self.answer = finished

    def takes_statements(self, run: JSON) -> bool:
        return run["language"] == "PYTHON"

    def run_statement(self, run_id: str, number: int, code: str) -> None:
        self.asked.append((number, code))

    def cancel_statement(self, run_id: str, number: int) -> None:
        self.interrupted.append(number)


@pytest.fixture
def talking(tmp_path) -> Local:
    return Local(tmp_path, engine=FakeStatementEngine())


@pytest.fixture
def session(talking) -> str:
    return talking.submit(talking.application(type="SESSION", fileUri=None))


def test_statement_lifecycle(talking, session):
    path = f"/runs/{session}/statements"
    response = talking.json("POST", path, {"code": "1 + 1"})
    assert set(response) == set(statements.FIELDS)
    assert (response["id"], response["lifecycleState"], response["progress"]) == (0, "ACCEPTED", 0)
    assert talking.json("GET", f"{path}/0")["lifecycleState"] == "IN_PROGRESS"
    assert talking.engine.asked == [(0, "1 + 1")]
    talking.clock.advance(1)
    talking.engine.answer(session, 0, StatementOutcome(True, value="2"))
    done = talking.json("GET", f"{path}/0")
    assert done["lifecycleState"] == "SUCCEEDED"
    assert done["output"]["data"] == {"type": "TEXT_PLAIN", "value": "2"}
    assert (done["output"]["status"], done["progress"]) == ("OK", 1)
    assert done["timeCreated"] < done["timeCompleted"]
    assert talking.call("DELETE", f"{path}/0").status == 204
    assert talking.json("GET", f"{path}/0")["lifecycleState"] == "SUCCEEDED"
    assert talking.state(session) == "IN_PROGRESS"


def test_failed_statement_has_error_and_traceback(talking, session):
    path = f"/runs/{session}/statements"
    talking.json("POST", path, {"code": "1 / 0"})
    talking.service.lifecycle.settle()
    outcome = StatementOutcome(
        False, error_name="ZeroDivisionError", error_value="division by zero", traceback=("line 1",)
    )
    talking.engine.answer(session, 0, outcome)
    done = talking.json("GET", f"{path}/0")
    assert done["lifecycleState"] == "FAILED"
    assert done["output"] == {
        "data": None,
        "status": "ERROR",
        "errorName": "ZeroDivisionError",
        "errorValue": "division by zero",
        "traceback": ["line 1"],
    }


def test_statements_run_one_at_a_time(talking, session):
    path = f"/runs/{session}/statements"
    for code in ("a", "b", "c", "d"):
        talking.json("POST", path, {"code": code})
        talking.clock.advance(1)
    assert [number for number, _ in talking.engine.asked] == [0]
    assert talking.call("DELETE", f"{path}/1").status == 204
    assert talking.call("DELETE", f"{path}/0").status == 204
    assert talking.json("GET", f"{path}/0")["lifecycleState"] == "CANCELLING"
    assert talking.engine.interrupted == [0]
    talking.engine.answer(session, 0, StatementOutcome(True, value="too late"))
    assert talking.json("GET", f"{path}/0")["output"] is None
    assert [number for number, _ in talking.engine.asked] == [0, 2]
    # The newest comes first.
    items = talking.json("GET", path)["items"]
    assert [(item["id"], item["lifecycleState"]) for item in items] == [
        (3, "ACCEPTED"),
        (2, "IN_PROGRESS"),
        (1, "CANCELLED"),
        (0, "CANCELLED"),
    ]
    assert set(items[0]) == set(statements.SUMMARY_FIELDS)
    assert [
        i["id"] for i in talking.json("GET", f"{path}?lifecycleState=CANCELLED&sortOrder=ASC")["items"]
    ] == [0, 1]
    assert talking.error("GET", f"{path}?lifecycleState=CANCELED")[0] == 400
    assert talking.call("DELETE", f"{path}/1").status == 204
    # The end of the run cancels all of its statements.
    talking.call("DELETE", f"/runs/{session}")
    assert talking.error("POST", path, {"code": "e"})[:2] == (409, "IncorrectState")
    talking.engine.finished(session, RunOutcome(False))
    assert talking.state(session) == "STOPPED"
    states = [item["lifecycleState"] for item in talking.json("GET", path)["items"]]
    assert states == ["CANCELLED"] * 4
    talking.engine.answer(session, 2, StatementOutcome(True))
    assert talking.json("GET", f"{path}/2")["lifecycleState"] == "CANCELLED"


def test_idle_session_is_stopped(talking):
    session = talking.submit(talking.application(type="SESSION"), idleTimeoutInMinutes=10)
    talking.clock.advance(500)
    talking.json("POST", f"/runs/{session}/statements", {"code": "long()"})
    talking.clock.advance(3600)
    assert talking.state(session) == "IN_PROGRESS"
    talking.engine.answer(session, 0, StatementOutcome(True))
    talking.clock.advance(599)
    assert talking.state(session) == "IN_PROGRESS"
    talking.clock.advance(1)
    assert talking.state(session) == "STOPPING"
    talking.engine.finished(session, RunOutcome(False))
    run = talking.json("GET", f"/runs/{session}")
    assert run["lifecycleState"] == "STOPPED"
    assert "idle for 10 minutes" in run["lifecycleDetails"]


def test_idle_timeout_can_be_changed(talking, session):
    assert talking.json("GET", f"/runs/{session}")["idleTimeoutInMinutes"] == 2880
    talking.json("PUT", f"/runs/{session}", {"idleTimeoutInMinutes": 5})
    talking.clock.advance(299)
    assert talking.state(session) == "IN_PROGRESS"
    talking.clock.advance(1)
    assert talking.state(session) == "STOPPING"


def test_statements_are_rejected_unless_a_session_is_in_progress(talking, session):
    batch = talking.submit()
    code = {"code": "1"}
    assert talking.error("POST", f"/runs/{batch}/statements", code)[:2] == (400, "InvalidParameter")
    assert talking.json("GET", f"/runs/{batch}/statements") == {"items": []}
    assert talking.error("POST", f"/runs/{session}/statements", {})[:2] == (400, "MissingParameter")
    assert talking.error("GET", f"/runs/{session}/statements/0")[0] == 404
    other = talking.submit(talking.application(type="SESSION", fileUri=None, language="SQL"))
    assert talking.state(other) == "ACCEPTED"
    talking.call("DELETE", f"/runs/{batch}")
    talking.engine.finished(batch, RunOutcome(False))
    assert talking.error("POST", f"/runs/{other}/statements", code)[:2] == (501, "MethodNotImplemented")


def test_engine_without_statements_is_501(local):
    session = local.submit(local.application(type="SESSION"))
    answer = local.error("POST", f"/runs/{session}/statements", {"code": "1"})
    assert answer[:2] == (501, "MethodNotImplemented")


def test_restart_cancels_statements(talking, session, tmp_path):
    talking.json("POST", f"/runs/{session}/statements", {"code": "1"})
    after = Local(tmp_path, store=talking.store)
    assert after.json("GET", f"/runs/{session}/statements/0")["lifecycleState"] == "CANCELLED"
    assert after.json("GET", f"/runs?compartmentId={COMPARTMENT}")[0]["lifecycleState"] == "FAILED"
