"""At the same number of requests, half of the delay of a fixed interval at most."""

from __future__ import annotations

import random

import pytest

from benchmarks.polling.delay import Workload, with_an_interval, with_the_poller


@pytest.fixture(autouse=True)
def seed():
    """The poller's jitter, which decides nothing here but would make each time another."""
    random.seed(1)


def test_jobs_that_take_about_as_long_each_time():
    poll_interval = 30
    workload = Workload("nightly", applications=10, runs=12, spread=0.1)
    durations = workload.durations(random.Random(5))
    ours = with_the_poller(workload, durations, poll_interval)
    _, fixed = with_an_interval(durations, ours.requests)
    assert len(ours.delays) == 120
    assert ours.median <= fixed.median / 2
    assert ours.p99 <= 8 * poll_interval * 1.1 + 1


def test_many_at_a_time():
    workload = Workload("backfill", applications=60, runs=1, longest=600, spread=0.5, together=True)
    durations = workload.durations(random.Random(5))
    ours = with_the_poller(workload, durations, 30)
    _, fixed = with_an_interval(durations, ours.requests)
    assert ours.median <= fixed.median / 2
