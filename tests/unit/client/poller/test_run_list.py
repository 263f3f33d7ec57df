"""The poller with many runs, in virtual time: which requests it sends, and what it hears."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import tracemalloc

import pytest

from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.exceptions import RunLost, ServiceError
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import COMPARTMENT, SimulatedService


class Waits:
    """Waits for all runs of a service at once; when each was told is in ``told``."""

    def __init__(self, service, poll_interval=30.0, states=SUCCESS_STATES, **kwargs):
        self.service = service
        self.kwargs = {
            "poll_interval": poll_interval,
            "states": states,
            "compartment_id": COMPARTMENT,
        } | kwargs
        self.told = {}
        self.changes = {}

    async def _wait(self, run_id):
        seen = self.changes.setdefault(run_id, [])
        run = await self.poller.wait_for(run_id, on_change=lambda run: seen.append(run.state), **self.kwargs)
        self.told[run_id] = (run.state, asyncio.get_running_loop().time())
        return run

    async def main(self, run_ids=None, until=None):
        self.poller = RunPoller(self.service.make, now=self.service.now)
        waits = [asyncio.create_task(self._wait(run_id)) for run_id in run_ids or self.service.runs]
        done, waiting = await asyncio.wait(waits, timeout=until)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self.poller.close()
        return [await task for task in done]

    def run(self, *args, **kwargs):
        return virtual_time.run(self.main(*args, **kwargs))

    def delays(self):
        return sorted(at - self.service.runs[run_id].ended for run_id, (_, at) in self.told.items())


def test_few_runs_are_asked_for_one_by_one():
    service = SimulatedService()
    service.add(600), service.add(900)
    waits = Waits(service)
    waits.run()
    assert service.requests["ListRuns"] <= 1  # how long runs of the application usually take
    assert set(waits.told) == set(service.runs)


def test_many_runs_are_asked_for_together_and_each_end_is_confirmed():
    service = SimulatedService()
    for number in range(1000):
        service.add(600 + number)
    waits = Waits(service)
    waits.run()
    assert {state for state, _ in waits.told.values()} == {"SUCCEEDED"}
    # A run can slip from one page to another between two requests.
    assert service.polls.total() <= 1.02 * len(service.runs)
    # Of each round at most one page of ACCEPTED and two of IN_PROGRESS.
    assert service.requests["ListRuns"] <= 3 * 1600 / 30
    delays = waits.delays()
    assert delays[500] < 30
    assert delays[-1] < 1600 * 0.05 * 1.1 + 5
    assert {tuple(seen) for seen in waits.changes.values()} <= {
        ("ACCEPTED", "IN_PROGRESS", "SUCCEEDED"),
        ("IN_PROGRESS", "SUCCEEDED"),
    }


def test_nobody_is_asked_for_more_often_than_he_allows():
    service = SimulatedService()
    for _ in range(300):
        service.add(3600)
    Waits(service, poll_interval=60).run(until=3000)
    rounds = [at for at in service.sent_at if at > 60]
    assert all(later - earlier >= 60 or later - earlier < 2 for earlier, later in itertools.pairwise(rounds))


def test_newcomers_wait_for_the_next_round():
    service = SimulatedService()
    for _ in range(200):
        service.add(10_000)

    async def main():
        waits = Waits(service)
        waits.poller = RunPoller(service.make, now=service.now)
        tasks = []
        for run_id in service.runs:
            tasks.append(asyncio.create_task(waits._wait(run_id)))
            await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await waits.poller.close()

    virtual_time.run(main())
    assert service.requests.total() < 60


def test_a_run_that_no_list_shows_is_asked_for_before_anybody_believes_it_gone():
    service = SimulatedService()
    for _ in range(100):
        service.add(600)
    hidden = service.add(300)
    service.unlisted.add(hidden.id)
    waits = Waits(service)
    waits.run()
    assert waits.told[hidden.id][0] == "SUCCEEDED"
    assert 300 < waits.told[hidden.id][1] < 340


def test_a_run_on_its_way_out_is_asked_for_by_itself():
    service = SimulatedService()
    for _ in range(50):
        service.add(1000, end="CANCELING")
    waits = Waits(service)
    waits.run(until=1300)
    assert not waits.told
    assert all(seen[-1] == "CANCELING" for seen in waits.changes.values())
    before = service.requests["ListRuns"]
    assert before <= 2 * 1000 / 30 + 4


def test_a_straggler_costs_no_pages():
    """The runs of others that are newer would be page after page."""
    service = SimulatedService(get_seconds=0.05, page_seconds=0.1)
    old = service.add(20_000)
    for _ in range(2000):
        service.add(20_000, created=1.0)
    mine = [service.add(20_000, created=2.0).id for _ in range(100)]
    Waits(service).run([old.id, *mine], until=3600)
    assert service.requests["ListRuns"] < 3600 / 30 * 1.5
    assert service.polls[old.id] > 30


def test_others_runs_make_lists_dear():
    """Ten runs among thirty thousand that are newer: what is cheaper is found out by counting."""
    service = SimulatedService(page_seconds=0.5)
    mine = [service.add(20_000).id for _ in range(12)]
    for _ in range(30_000):
        service.add(20_000, created=1.0)
    Waits(service).run(mine, until=1200)
    assert service.requests["ListRuns"] < 12
    assert service.requests["GetRun"] > 200


def test_whoever_may_not_list_is_served_all_the_same(caplog):
    service = SimulatedService()
    for _ in range(50):
        service.add(300)
    service.errors["ListRuns"] = [
        ServiceError(operation="ListRuns", status=404, message="not authorized") for _ in range(1000)
    ]
    waits = Waits(service)
    waits.run()
    assert len(waits.told) == 50
    assert service.requests["ListRuns"] <= 3
    assert "one by one" in caplog.text


def test_a_smaller_page_is_tried_where_a_large_one_is_refused():
    service = SimulatedService()
    for _ in range(300):
        service.add(100)
    service.errors["ListRuns"] = [ServiceError(operation="ListRuns", status=400, message="limit")]
    waits = Waits(service)
    waits.run()
    assert len(waits.told) == 300
    assert service.requests["ListRuns"] > 3


def test_an_outage_is_one_line_and_costs_nobody_his_wait(caplog):
    caplog.set_level(logging.INFO)
    service = SimulatedService()
    for _ in range(200):
        service.add(600)
    service.errors["ListRuns"] = [ServiceError(operation="ListRuns", status=503, message="down")] * 10
    waits = Waits(service)
    waits.run()
    assert len(waits.told) == 200
    assert [record.levelname for record in caplog.records if "200 runs" in record.message] == ["WARNING"]
    assert "answers again" in caplog.text


def test_an_outage_uses_up_each_subscribers_own_budget():
    service = SimulatedService()
    for _ in range(100):
        service.add(60_000)
    down = ServiceError(operation="ListRuns", status=503, message="down")
    service.errors = {"ListRuns": [down] * 10_000, "GetRun": [down] * 10_000}

    async def main():
        poller = RunPoller(service.make, now=service.now)

        async def wait(run_id, budget):
            with pytest.raises(RunLost, match="down"):
                await poller.wait_for(
                    run_id,
                    states=SUCCESS_STATES,
                    poll_interval=30,
                    error_budget=budget,
                    compartment_id=COMPARTMENT,
                )
            return asyncio.get_running_loop().time()

        budgets = [300.0, 900.0] * 50
        ends = await asyncio.gather(*map(wait, service.runs, budgets))
        await poller.close()
        assert all(budget <= end < budget + 120 for budget, end in zip(budgets, ends, strict=True))

    virtual_time.run(main())


def test_429_slows_all_down_at_once_and_for_a_while():
    service = SimulatedService()
    for _ in range(40):
        service.add(3600, compartment="another")
    service.errors["GetRun"] = [
        ServiceError(operation="GetRun", status=429, message="slow down", retry_after=20)
    ] * 3
    Waits(service, compartment_id=None).run(until=300)
    sent = service.sent_at
    first = sent.index(next(at for at in sent if at >= 20))
    assert first <= 5  # those under way when the first answer came
    gaps = [
        later - earlier for earlier, later in zip(sent[first:], sent[first + 1 : first + 10], strict=False)
    ]
    assert min(gaps) > 1.5 / 20


def test_never_more_connections_or_requests_a_second_than_allowed():
    service = SimulatedService(get_seconds=1.0)
    for _ in range(500):
        service.add(1.0)
    waits = Waits(service)
    waits.run()
    assert len(waits.told) == 500
    assert service.most_at_once == 4
    assert all(
        later - earlier >= 1 / 20 - 1e-9
        for earlier, later in zip(service.sent_at, service.sent_at[1:], strict=False)
    )


def test_the_usual_duration_is_looked_up_once_and_asked_around():
    """Not in the middle of a run of an hour, but when it is about to end."""
    service = SimulatedService()
    for number in range(5):
        service.add(3600 + number * 30, created=-20_000.0 + number)
    run = service.add(3660)
    waits = Waits(service, poll_interval=10)
    waits.run([run.id])
    assert service.requests["ListRuns"] == 1
    assert waits.delays()[0] <= 11
    fixed = 3660 / 10
    assert service.requests["GetRun"] < fixed / 2


def test_no_leak_over_a_hundred_thousand_subscriptions():
    service = SimulatedService()
    ids = [service.add(10**9).id for _ in range(1000)]

    async def main():
        poller = RunPoller(service.make, now=service.now)

        async def wait(run_id):
            await poller.wait_for(
                run_id, states=SUCCESS_STATES, poll_interval=30, compartment_id=COMPARTMENT, on_change=print
            )

        async def batch():
            tasks = [asyncio.create_task(wait(run_id)) for run_id in ids]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        for _ in range(2):
            await batch()
        before = len(gc.get_objects())
        for _ in range(97):
            await batch()
        gc.collect()
        # What is planned for those who have left is cleared away now and then, not at once.
        assert len(gc.get_objects()) - before < 5 * len(ids)
        assert poller.is_idle
        await poller.close()

    virtual_time.run(main())


def test_a_waiting_subscriber_weighs_less_than_four_kilobytes():
    service = SimulatedService()
    ids = [service.add(10**9).id for _ in range(500)]

    async def main():
        poller = RunPoller(service.make, now=service.now)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tasks = [
            asyncio.create_task(
                poller.wait_for(
                    run_id,
                    states=SUCCESS_STATES,
                    poll_interval=30,
                    compartment_id=COMPARTMENT,
                    on_change=lambda _: None,
                )
            )
            for run_id in ids
        ]
        await asyncio.sleep(100)
        weight = (tracemalloc.get_traced_memory()[0] - before) / len(ids)
        tracemalloc.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await poller.close()
        return weight

    assert virtual_time.run(main()) < 4096


def test_a_listener_that_fails_fails_alone():
    service = SimulatedService()
    service.add(60)

    async def main():
        poller = RunPoller(service.make, now=service.now)
        run = await poller.wait_for(
            next(iter(service.runs)), states=SUCCESS_STATES, poll_interval=10, on_change=lambda run: 1 / 0
        )
        await poller.close()
        return run.state

    assert virtual_time.run(main()) == "SUCCEEDED"
