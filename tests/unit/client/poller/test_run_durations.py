from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.poller.run_durations import DurationHistory


def test_usual_duration_comes_from_the_last_runs():
    history = DurationHistory(applications=2, runs=10)
    history.add("a", 100)
    history.add("a", 200)
    assert history.usual("a") is None
    history.add("a", 300)
    assert history.usual("a") == pytest.approx((95, 315))
    for _ in range(10):
        history.add("a", 1000)
    assert history.usual("a") == pytest.approx((950, 1050))
    history.add("b", 1)
    history.add("c", 1)
    assert history.usual("a") is None
    assert history.usual(None) is None


def test_usual_duration_ignores_one_outlier_of_ten():
    history = DurationHistory()
    for seconds in (5000, *[100] * 9):
        history.add("a", seconds)
    assert history.usual("a") == pytest.approx((95, 105))
