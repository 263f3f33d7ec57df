from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import STRAY_ERROR_BUDGET, Durations, ErrorBudget, interval, jittered


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


@pytest.mark.parametrize(
    ("state", "age", "usual", "seconds"),
    [
        (None, 0, None, 30),
        ("ACCEPTED", 5000, None, 30),
        ("CANCELING", 5000, None, 30),
        ("HIBERNATING", 5000, (1, 2), 30),
        # Young, older, and so old that it makes no more difference.
        ("IN_PROGRESS", 60, None, 30),
        ("IN_PROGRESS", 1200, None, 60),
        ("IN_PROGRESS", 100_000, None, 240),
        # Before, shortly before, at and after the usual end.
        ("IN_PROGRESS", 60, (3000, 3600), 240),
        ("IN_PROGRESS", 2930, (3000, 3600), 70),
        ("IN_PROGRESS", 2999, (3000, 3600), 30),
        ("IN_PROGRESS", 3300, (3000, 3600), 30),
        ("IN_PROGRESS", 4000, (3000, 6600), 60),
        # Where they end at any time, the usual says no more than the age.
        ("IN_PROGRESS", 900, (600, 9600), 45),
        ("IN_PROGRESS", 3700, (3000, 3600), 30),
        ("IN_PROGRESS", 5600, (3000, 3600), 110),
        ("IN_PROGRESS", 90_000, (3000, 3600), 240),
    ],
)
def test_when_a_run_is_worth_asking_for_again(state, age, usual, seconds):
    assert interval(30, state, age, usual) == pytest.approx(seconds)


def test_what_is_usual():
    durations = Durations(applications=2, runs=10)
    durations.add("a", 100)
    durations.add("a", 200)
    assert durations.usual("a") is None
    durations.add("a", 300)
    assert durations.usual("a") == pytest.approx((95, 315))
    for _ in range(10):
        durations.add("a", 1000)
    assert durations.usual("a") == pytest.approx((950, 1050))
    durations.add("b", 1)
    durations.add("c", 1)
    assert durations.usual("a") is None
    assert durations.usual(None) is None


def test_one_outlier_of_ten_is_none_of_the_usual():
    durations = Durations()
    for seconds in (5000, *[100] * 9):
        durations.add("a", seconds)
    assert durations.usual("a") == pytest.approx((95, 105))
