"""With the same number of requests, the poller has at most half the delay of a fixed interval."""

from __future__ import annotations

import random

import pytest

from benchmarks.polling.delay import Workload, with_fixed_interval, with_poller


@pytest.fixture(autouse=True)
def seed():
    """Make the poller's jitter the same in each run of the tests."""
    random.seed(1)


# The more the durations vary, the less any schedule can gain: see docs/performance.md.
@pytest.mark.parametrize(("spread", "gain"), [(0.1, 2), (0.3, 2), (1.0, 1.6)])
def test_delay_for_applications_of_all_lengths(spread, gain):
    poll_interval = 30
    workload = Workload("nightly", applications=30, runs=12, spread=spread)
    durations = workload.durations(random.Random(5))
    ours = with_poller(workload, durations, poll_interval)
    _, fixed = with_fixed_interval(durations, ours.requests)
    assert len(ours.delays) == 360
    assert ours.median <= fixed.median / gain
    assert ours.p99 <= 8 * poll_interval * 1.1 + 1


def test_delay_for_many_runs_of_a_compartment():
    workload = Workload("backfill", applications=60, runs=1, longest=600, spread=0.5, same_compartment=True)
    durations = workload.durations(random.Random(5))
    ours = with_poller(workload, durations, 30)
    _, fixed = with_fixed_interval(durations, ours.requests)
    assert ours.median <= fixed.median / 2
