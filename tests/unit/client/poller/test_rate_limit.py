from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.poller.rate_limit import RECOVERY, SLOWEST, Pace


def send(pace: Pace, now: float, count: int) -> float:
    """Send as fast as allowed; returns when the last one went."""
    for _ in range(count):
        now += pace.delay(now)
        pace.sent(now)
    return now


def test_requests_are_spread_evenly():
    assert send(Pace(10), 0, 101) == pytest.approx(10)


def test_one_after_a_pause_goes_at_once():
    pace = Pace(10)
    send(pace, 0, 50)
    assert pace.delay(100) == 0


def test_retry_after_stops_all_and_then_half_as_many_go():
    pace = Pace(10)
    pace.throttled(now=5, sent_at=4.9, retry_after=30)
    assert pace.delay(5) == 30
    assert pace.rate(35) == pytest.approx(5)


def test_several_answers_of_429_that_were_under_way_together_count_once():
    pace = Pace(16)
    for sent_at in (4.7, 4.8, 4.9):
        pace.throttled(now=5, sent_at=sent_at, retry_after=None)
    assert pace.rate(5) == pytest.approx(8)
    pace.throttled(now=6, sent_at=5.5, retry_after=None)
    assert pace.rate(6) < 5


def test_it_recovers_gently_and_entirely():
    pace = Pace(10)
    pace.throttled(now=0, sent_at=0, retry_after=0)
    assert pace.rate(RECOVERY / 4) == pytest.approx(7.5)
    assert pace.rate(RECOVERY) == 10


def test_it_never_stops_for_good():
    pace = Pace(10)
    for now in range(100):
        pace.throttled(now=now, sent_at=now, retry_after=0)
    assert pace.rate(99) >= SLOWEST


def test_a_limit_must_be_one():
    with pytest.raises(ValueError, match="above 0"):
        Pace(0)
