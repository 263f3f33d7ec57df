from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import (
    HEARTBEAT_SECONDS,
    STRAY_ERROR_BUDGET_SECONDS,
    ErrorBudget,
    Heartbeat,
    jittered,
)


def error(status):
    return ServiceError(operation="GetRun", message="", status=status)


@pytest.mark.parametrize(
    ("status", "seconds"),
    [(None, 1800), (503, 1800), (429, 1800), (404, STRAY_ERROR_BUDGET_SECONDS), (400, 0)],
)
def test_error_budget_depends_on_error(status, seconds):
    budget = ErrorBudget(1800)
    assert budget.failure(error(status), now=100) is (seconds == 0)
    if seconds:
        assert not budget.failure(error(status), now=100 + seconds - 1)
        assert budget.failure(error(status), now=100 + seconds)


def test_response_resets_error_budget():
    budget = ErrorBudget(10)
    assert not budget.failure(error(503), now=0)
    assert budget.failing
    assert budget.success()
    assert not budget.success()
    assert not budget.failure(error(503), now=100)


def test_jitter_only_shortens():
    values = {jittered(10) for _ in range(200)}
    assert all(7.5 <= value <= 10 for value in values)
    assert len(values) > 100


def test_heartbeat_is_due_once_per_interval():
    heartbeat = Heartbeat(since=100)
    assert not heartbeat.is_due(100 + HEARTBEAT_SECONDS - 1)
    assert heartbeat.is_due(100 + HEARTBEAT_SECONDS)
    assert not heartbeat.is_due(101 + HEARTBEAT_SECONDS)
