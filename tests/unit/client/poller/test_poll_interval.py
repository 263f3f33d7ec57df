from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.poller.poll_interval import next_interval


@pytest.mark.parametrize(
    ("state", "age", "usual", "seconds"),
    [
        (None, 0, None, 30),
        ("ACCEPTED", 5000, None, 30),
        ("CANCELING", 5000, None, 30),
        ("HIBERNATING", 5000, (1, 2), 30),
        # Young, older, and beyond the longest interval.
        ("IN_PROGRESS", 60, None, 30),
        ("IN_PROGRESS", 1200, None, 60),
        ("IN_PROGRESS", 100_000, None, 240),
        # Long before, shortly before, in and after the period in which runs usually end.
        ("IN_PROGRESS", 60, (3000, 3600), 240),
        ("IN_PROGRESS", 2930, (3000, 3600), 70),
        ("IN_PROGRESS", 2999, (3000, 3600), 30),
        ("IN_PROGRESS", 3300, (3000, 3600), 30),
        ("IN_PROGRESS", 4000, (3000, 6600), 60),
        # In a long period, the age gives the shorter interval.
        ("IN_PROGRESS", 900, (600, 9600), 45),
        ("IN_PROGRESS", 3700, (3000, 3600), 30),
        ("IN_PROGRESS", 5600, (3000, 3600), 110),
        ("IN_PROGRESS", 90_000, (3000, 3600), 240),
    ],
)
def test_interval_by_state_age_and_usual_duration(state, age, usual, seconds):
    assert next_interval(30, state, age, usual) == pytest.approx(seconds)
