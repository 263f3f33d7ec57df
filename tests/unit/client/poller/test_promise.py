"""The promise: an event at most one poll interval and a second after the end of the run."""

from __future__ import annotations

import asyncio
import random

import pytest

from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from airflow_provider_dataflow.polling import LIST_THRESHOLD, MAX_CONNECTIONS, MAX_REQUESTS_PER_SECOND
from benchmarks.polling import virtual_time
from benchmarks.polling.delay import Workload, with_fixed_interval, with_poller
from benchmarks.polling.simulated_service import COMPARTMENT, SimulatedService


@pytest.fixture(autouse=True)
def seed():
    """Make the poller's jitter the same in each run of the tests."""
    random.seed(1)


@pytest.mark.parametrize(
    ("waits", "runs", "compartments", "poll_interval"),
    [
        (1, 300, 1, 30.0),
        (8, 40, 1, 30.0),
        (LIST_THRESHOLD, 30, 1, 30.0),
        (20, 15, 20, 30.0),
        (150, 3, 1, 10.0),
        (150, 3, 10, 30.0),
    ],
)
def test_event_is_at_most_one_interval_late_and_on_average_earlier_than_with_a_fixed_one(
    waits, runs, compartments, poll_interval
):
    workload = Workload("", waits, runs, compartments, poll_interval, longest=1800)
    durations = workload.durations(random.Random(5))
    ours, fixed = with_poller(workload, durations), with_fixed_interval(workload, durations)
    assert len(ours.delays) == waits * runs
    assert ours.longest <= poll_interval + 1
    assert ours.p99 <= fixed.p99
    # Of a few hundred random delays, the median is known to about a tenth.
    assert ours.median <= fixed.median
    assert ours.requests <= fixed.requests * (1.25 if waits / compartments < LIST_THRESHOLD else 0.5)


def test_interval_holds_while_so_many_runs_end_that_their_confirmation_takes_long():
    """Four runs end per second: with 20 requests per second, confirming those of a round takes seconds."""
    workload = Workload("", waits=1000, runs=2, shortest=200, longest=300)
    ours = with_poller(workload, workload.durations(random.Random(5)))
    assert ours.p99 <= workload.poll_interval + 1


def test_beyond_the_rate_limit_all_slow_down_evenly_and_the_log_says_so_once(caplog):
    poll_interval, waits, seconds = 5.0, 400, 600
    service = SimulatedService()
    runs = [service.add(10**6, compartment=f"compartment-{number}") for number in range(waits)]

    async def main() -> None:
        poller = RunPoller(service.make)
        for run in runs:
            poller.subscribe(
                run.id, states=SUCCESS_STATES, poll_interval=poll_interval, compartment_id=run.compartment
            )
        await asyncio.sleep(seconds)
        await poller.close()

    virtual_time.run(main())
    polls = [service.polls[run.id] for run in runs]
    expected = seconds * MAX_REQUESTS_PER_SECOND / waits
    assert expected * 0.9 <= min(polls) <= max(polls) <= expected * 1.1
    assert len([record for record in caplog.records if "exceed the rate limit" in record.message]) == 1


def test_other_requests_of_the_connection_delay_no_poll():
    """Five hundred statements, or readers of logs, that would take 25 seconds at 20 requests per second."""
    service = SimulatedService()
    run, other = service.add(300), service.add(10**6)

    async def main() -> float:
        poller = RunPoller(service.make)

        async def request_again_and_again() -> None:
            while True:
                await poller.request(lambda client: client.get_run(other.id))

        others = [asyncio.create_task(request_again_and_again()) for _ in range(500)]
        await poller.wait_for(run.id, states=SUCCESS_STATES, poll_interval=5)
        at = asyncio.get_running_loop().time()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await poller.close()
        return at

    assert virtual_time.run(main()) <= run.ended + 5 + 1
    # None of them is starved either.
    assert service.polls[other.id] > 0.9 * run.ended * MAX_REQUESTS_PER_SECOND


def test_requests_within_the_rate_limit_log_nothing(caplog):
    workload = Workload("", waits=100, runs=1, longest=300, compartments=100, poll_interval=10)
    with_poller(workload, workload.durations(random.Random(5)))
    assert not caplog.records


def test_shorter_interval_of_a_new_subscription_counts_at_once():
    service = SimulatedService()
    ids = [service.add(1000).id for _ in range(50)]

    async def main() -> float:
        poller = RunPoller(service.make)
        kwargs = {"states": SUCCESS_STATES, "compartment_id": COMPARTMENT}
        for run_id in ids:
            poller.subscribe(run_id, poll_interval=300, **kwargs)
        await asyncio.sleep(995)
        await poller.wait_for(ids[0], poll_interval=6, **kwargs)
        at = asyncio.get_running_loop().time()
        await poller.close()
        return at

    assert virtual_time.run(main()) <= 1000 + 6 + 1


@pytest.mark.parametrize(("others", "interval"), [(600.0, 5.0), (60.0, 10.0), (600.0, 30.0)])
def test_run_of_unknown_compartment_keeps_its_interval_among_listed_runs_with_longer_ones(others, interval):
    service = SimulatedService()
    ids = [service.add(10**6).id for _ in range(50)]
    run = service.add(1000)

    async def main() -> float:
        poller = RunPoller(service.make)
        for run_id in ids:
            poller.subscribe(run_id, states=SUCCESS_STATES, poll_interval=others, compartment_id=COMPARTMENT)
        await asyncio.sleep(990)
        await poller.wait_for(run.id, states=SUCCESS_STATES, poll_interval=interval)
        now = asyncio.get_running_loop().time()
        await poller.close()
        return now

    assert virtual_time.run(main()) <= run.ended + interval + 1


class ServiceWithConnections(SimulatedService):
    """Sends as many requests at a time as the client has connections, first come, first served."""

    def __init__(self, get_seconds: float) -> None:
        super().__init__(get_seconds)
        self._connections = asyncio.Semaphore(MAX_CONNECTIONS)

    async def _send(self, operation: str, seconds: float) -> None:
        async with self._connections:
            await super()._send(operation, seconds)


@pytest.mark.parametrize("latency", [0.3, 0.5])
def test_slow_responses_to_other_requests_do_not_delay_polls(latency):
    """Polls of statements, for example, of which 500 are due each 20 seconds."""
    service = ServiceWithConnections(latency)
    run, other = service.add(600), service.add(10**6)

    async def main() -> float:
        poller = RunPoller(service.make)

        async def repeat() -> None:
            while True:
                await asyncio.sleep(random.uniform(0, 40))
                await poller.request(lambda client: client.get_run(other.id))

        tasks = [asyncio.create_task(repeat()) for _ in range(500)]
        await poller.wait_for(run.id, states=SUCCESS_STATES, poll_interval=5.0)
        now = asyncio.get_running_loop().time()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await poller.close()
        return now

    assert virtual_time.run(main()) <= run.ended + 5 + 1
