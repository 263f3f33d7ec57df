from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import STRAY_ERROR_BUDGET, ErrorBudget, jittered


def error(status):
    return ServiceError(operation="GetRun", message="", status=status)


@pytest.mark.parametrize(
    ("status", "borne_for"), [(None, 1800), (503, 1800), (429, 1800), (404, STRAY_ERROR_BUDGET), (400, 0)]
)
def test_an_error_is_borne_for_as_long_as_it_may_pass(status, borne_for):
    budget = ErrorBudget(1800)
    assert budget.failure(error(status), now=100) is (borne_for == 0)
    if borne_for:
        assert not budget.failure(error(status), now=100 + borne_for - 1)
        assert budget.failure(error(status), now=100 + borne_for)


def test_an_answer_makes_the_budget_whole_again():
    budget = ErrorBudget(10)
    assert not budget.failure(error(503), now=0)
    assert budget.failing
    assert budget.success()
    assert not budget.success()
    assert not budget.failure(error(503), now=100)


def test_jitter_stays_near_the_interval():
    values = {jittered(10) for _ in range(200)}
    assert all(9 <= value <= 11 for value in values)
    assert len(values) > 100
