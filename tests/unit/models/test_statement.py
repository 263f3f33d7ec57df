from __future__ import annotations

from airflow_provider_dataflow.models.statement import Statement


def test_first_statement_has_number_0():
    statement = Statement.from_api({"id": 0, "lifecycleState": "ACCEPTED"})
    assert statement.id == 0
    assert not statement.has_ended
    assert statement.result is None


def test_result_holds_error_and_repr_hides_code():
    body = {
        "id": 1,
        "lifecycleState": "FAILED",
        "output": {"status": "ERROR", "errorName": "E", "errorValue": "v", "traceback": ["a", "b"]},
    }
    result = Statement.from_api(body).result
    assert (result.error_name, result.error_value, result.traceback) == ("E", "v", ("a", "b"))
    assert "print" not in repr(Statement.from_api(body | {"code": "print(1)"}))
