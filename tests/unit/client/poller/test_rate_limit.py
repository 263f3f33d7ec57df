from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.poller.rate_limit import MIN_RATE, RECOVERY_SECONDS, RateLimit


def send(limit: RateLimit, now: float, count: int) -> float:
    """Send as fast as the limit allows; return the time of the last request."""
    for _ in range(count):
        now += limit.delay(now)
        limit.record_request(now)
    return now


def test_requests_are_evenly_spaced():
    assert send(RateLimit(10), 0, 101) == pytest.approx(10)


def test_request_after_idle_time_is_not_delayed():
    limit = RateLimit(10)
    send(limit, 0, 50)
    assert limit.delay(100) == 0


def test_retry_after_pauses_all_requests_then_halves_the_rate():
    limit = RateLimit(10)
    limit.record_throttle(now=5, sent_at=4.9, retry_after=30)
    assert limit.delay(5) == 30
    assert limit.rate(35) == pytest.approx(5)


def test_throttled_requests_in_flight_together_halve_the_rate_once():
    limit = RateLimit(16)
    for sent_at in (4.7, 4.8, 4.9):
        limit.record_throttle(now=5, sent_at=sent_at, retry_after=None)
    assert limit.rate(5) == pytest.approx(8)
    limit.record_throttle(now=6, sent_at=5.5, retry_after=None)
    assert limit.rate(6) < 5


def test_rate_recovers_slowly_and_completely():
    limit = RateLimit(10)
    limit.record_throttle(now=0, sent_at=0, retry_after=0)
    assert limit.rate(RECOVERY_SECONDS / 4) == pytest.approx(7.5)
    assert limit.rate(RECOVERY_SECONDS) == 10


def test_rate_never_falls_below_its_minimum():
    limit = RateLimit(10)
    for now in range(100):
        limit.record_throttle(now=now, sent_at=now, retry_after=0)
    assert limit.rate(99) >= MIN_RATE


def test_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="more than 0"):
        RateLimit(0)
