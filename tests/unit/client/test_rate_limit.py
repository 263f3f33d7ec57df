from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dataflow.client import rate_limit
from airflow_provider_dataflow.client.poller.request_sender import RequestSender
from airflow_provider_dataflow.client.rate_limit import RateLimit, shared_rate_limit
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import MAX_OTHERS_AHEAD, MIN_REQUESTS_PER_SECOND, RATE_RECOVERY_SECONDS


def send(limit: RateLimit, now: float, count: int) -> float:
    """Send as fast as the limit allows; return the time of the last request."""
    for _ in range(count):
        now += limit.reserve(now)
    return now


def test_requests_are_evenly_spaced():
    assert send(RateLimit(10), 0, 101) == pytest.approx(10)


def test_request_after_idle_time_is_not_delayed():
    limit = RateLimit(10)
    send(limit, 0, 50)
    assert limit.reserve(100) == 0


def test_retry_after_pauses_all_requests_then_halves_the_rate():
    limit = RateLimit(10)
    limit.record_throttle(now=5, sent_at=4.9, retry_after=30)
    assert limit.reserve(5) == 30
    assert limit.rate(35) == pytest.approx(5)


def test_reserved_request_waits_for_a_pause_that_began_since():
    limit = RateLimit(10)
    assert [limit.reserve(5), limit.reserve(5)] == [0, pytest.approx(0.1)]
    limit.record_throttle(now=5.05, sent_at=5, retry_after=30)
    assert limit.recheck(5.1) == pytest.approx(29.95)
    assert limit.reserve(5.1) > 30
    assert limit.recheck(35.05) == 0
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
    assert limit.rate(RATE_RECOVERY_SECONDS / 4) == pytest.approx(7.5)
    assert limit.rate(RATE_RECOVERY_SECONDS) == 10


def test_rate_never_falls_below_its_minimum():
    limit = RateLimit(10)
    for now in range(100):
        limit.record_throttle(now=now, sent_at=now, retry_after=0)
    assert limit.rate(99) >= MIN_REQUESTS_PER_SECOND


def test_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="more than 0"):
        RateLimit(0)


@pytest.fixture
def clock(monkeypatch):
    """Clock that a sleep moves on."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(rate_limit, "time", clock)
    return clock


def test_threads_wait_for_the_same_limit(clock):
    limit = RateLimit(10)
    send(limit, clock.now, 11)
    limit.wait("CreateRun")
    assert clock.now == pytest.approx(1001.1)


def test_threads_wait_for_a_pause_of_a_minute_and_keep_their_distance_after_it(clock):
    limit = RateLimit(10)
    limit.record_throttle(clock.now, clock.now, retry_after=60)
    sent = []
    for _ in range(3):
        limit.wait("CreateRun")
        sent.append(clock.now)
    assert sent[0] == pytest.approx(1060)
    assert min(later - earlier for earlier, later in pairwise(sent)) >= 1 / 10


def test_thread_does_not_send_during_a_longer_pause(clock):
    """It does not wait either, since a kill waits for the thread."""
    limit = RateLimit(10)
    limit.record_throttle(clock.now, clock.now, retry_after=600)
    for _ in range(16):
        with pytest.raises(ServiceError, match="600 s are left") as raised:
            limit.wait("CreateRun")
    assert raised.value.retry_after == pytest.approx(600)
    assert raised.value.is_transient
    assert clock.now == 1000
    # It has taken no share of the requests after the pause.
    assert limit.reserve(1600) == 0


def test_requests_give_way_to_few_urgent_ones(clock):
    """A thousand tasks can be killed together."""
    limit = RateLimit(10)
    limit.record_urgent()
    limit.record_urgent()
    assert limit.reserve(clock.now) == pytest.approx(0.2)
    for _ in range(1000):
        limit.record_urgent()
    assert limit.reserve(clock.now) == pytest.approx(MAX_OTHERS_AHEAD / 10)
    assert clock.now == 1000


def test_threads_leave_every_second_request_to_the_event_loop():
    """The poller is on the loop, and submits are in threads."""
    limit = RateLimit(100)
    running = True

    def submit() -> int:
        sent = 0
        while running:
            limit.wait("CreateRun")
            sent += 1
        return sent

    async def poll() -> int:
        sender = RequestSender(make_client)
        until, sent = time.monotonic() + 1, 0
        while time.monotonic() < until:
            await sender.send(no_request, is_poll=True)
            sent += 1
        return sent

    async def make_client() -> Any:
        return SimpleNamespace(rate_limit=limit)

    async def no_request(client: Any) -> None:
        pass

    with ThreadPoolExecutor(8) as threads:
        submits = [threads.submit(submit) for _ in range(8)]
        polls = asyncio.run(poll())
        running = False
    # Each thread sends one more at the end.
    assert polls > 0.35 * (polls + sum(submit.result() for submit in submits))


def test_rate_limit_is_shared_by_the_clients_of_a_connection():
    limit = shared_rate_limit("a", 5)
    assert shared_rate_limit("a", 5) is limit
    assert shared_rate_limit("b", 5) is not limit
