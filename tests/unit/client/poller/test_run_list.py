"""The poller with many runs, in virtual time: which requests it sends, and what subscribers hear."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import tracemalloc

import pytest

from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.exceptions import RunLost, ServiceError, UnexpectedResponse
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from airflow_provider_dataflow.polling import LIST_THRESHOLD, MAX_CONNECTIONS, MIN_JITTER
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import COMPARTMENT, SimulatedService


class Subscribers:
    """One subscription for each run of a service.

    :ivar ends: state and time of the end, as each subscriber heard of it.
    :ivar changes: the states that each subscriber heard of.
    """

    def __init__(self, service, poll_interval=30.0, states=SUCCESS_STATES, **kwargs):
        self.service = service
        self.kwargs = {
            "poll_interval": poll_interval,
            "states": states,
            "compartment_id": COMPARTMENT,
        } | kwargs
        self.ends = {}
        self.changes = {}

    async def wait_for(self, poller, run_id):
        seen = self.changes.setdefault(run_id, [])
        run = await poller.wait_for(run_id, on_change=lambda run: seen.append(run.state), **self.kwargs)
        self.ends[run_id] = (run.state, asyncio.get_running_loop().time())

    async def main(self, run_ids, until, gap):
        poller = RunPoller(self.service.make)
        waiting = []
        for run_id in run_ids or self.service.runs:
            waiting.append(asyncio.create_task(self.wait_for(poller, run_id)))
            if gap:
                await asyncio.sleep(gap)
        done, waiting = await asyncio.wait(waiting, timeout=until)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await poller.close()
        for task in done:
            await task

    def run(self, run_ids=None, until=None, gap=0):
        """Subscribe to all runs, or to those of ``run_ids``.

        :param until: seconds after which the subscribers leave; default: when all runs have ended.
        :param gap: seconds between two subscribers.
        """
        virtual_time.run(self.main(run_ids, until, gap))

    def delays(self):
        return sorted(at - self.service.runs[run_id].ended for run_id, (_, at) in self.ends.items())


@pytest.mark.parametrize(("runs", "is_listed"), [(LIST_THRESHOLD - 1, False), (LIST_THRESHOLD, True)])
def test_threshold_decides_between_get_run_and_list_runs(runs, is_listed):
    service = SimulatedService()
    for _ in range(runs):
        service.add(10_000)
    Subscribers(service).run(until=1000)
    if is_listed:
        assert 1000 / 30 <= service.requests["ListRuns"] <= 1000 / 30 / MIN_JITTER + 2
        assert service.requests["GetRun"] == 0
    else:
        assert service.requests["ListRuns"] == 0
        assert runs * 1000 / 30 <= service.requests["GetRun"] <= runs * (1000 / 30 / MIN_JITTER + 1)


def test_many_runs_are_polled_by_list_runs_and_each_end_is_confirmed_by_get_run():
    service = SimulatedService()
    for number in range(1000):
        service.add(600 + number)
    subscribers = Subscribers(service)
    subscribers.run()
    assert {state for state, _ in subscribers.ends.values()} == {"SUCCEEDED"}
    # One GetRun per run. More only for runs that move to another page between two requests, and for the last
    # runs, which are too few for ListRuns.
    assert service.polls.total() <= 1.02 * len(service.runs) + LIST_THRESHOLD
    # In each round one page, and at first another one of ACCEPTED.
    assert service.requests["ListRuns"] <= 1600 / 30 / MIN_JITTER + 2
    delays = subscribers.delays()
    assert delays[500] < 0.5 * 30
    assert delays[-1] <= 30 + 1
    assert {tuple(seen) for seen in subscribers.changes.values()} <= {
        ("ACCEPTED", "IN_PROGRESS", "SUCCEEDED"),
        ("IN_PROGRESS", "SUCCEEDED"),
    }


def test_rounds_are_at_most_a_poll_interval_apart():
    service = SimulatedService()
    for _ in range(300):
        service.add(3600)
    Subscribers(service, poll_interval=60).run(until=3000)
    rounds = [at for at in service.sent_at if at > 100]
    gaps = [later - earlier for earlier, later in itertools.pairwise(rounds)]
    # A round begins earlier by the time that its page takes.
    assert all(60 * MIN_JITTER - 0.2 <= gap <= 60 for gap in gaps)
    assert max(gaps) - min(gaps) > 5


def test_new_subscribers_share_the_next_round():
    service = SimulatedService()
    for _ in range(200):
        service.add(10_000)
    Subscribers(service).run(gap=1, until=0)
    # Of the first runs, while they are few, each is polled by GetRun.
    assert service.requests.total() < 60 + LIST_THRESHOLD


def test_late_subscription_hears_of_a_state_that_is_known_already():
    """ListRuns shows the state that it showed before; only the new subscription has not heard of it."""
    service = SimulatedService()
    run_ids = [service.add(10_000).id for _ in range(30)]

    async def main():
        poller = RunPoller(service.make)
        kwargs = {"poll_interval": 30.0, "compartment_id": COMPARTMENT}
        changes = []
        for run_id in run_ids:
            poller.subscribe(
                run_id, states=SUCCESS_STATES, on_change=lambda run: changes.append(run.state), **kwargs
            )
        await asyncio.sleep(300)
        assert service.requests["GetRun"] == 0
        del changes[:]
        late = poller.wait_for(run_ids[3], states={"IN_PROGRESS"}, **kwargs)
        found = await asyncio.wait_for(late, timeout=300)
        await poller.close()
        return found.state, changes

    assert virtual_time.run(main()) == ("IN_PROGRESS", [])


def test_run_missing_from_lists_is_polled_by_get_run():
    service = SimulatedService()
    for _ in range(100):
        service.add(600)
    hidden = service.add(300)
    service.unlisted.add(hidden.id)
    subscribers = Subscribers(service)
    subscribers.run()
    assert subscribers.ends[hidden.id][0] == "SUCCEEDED"
    assert 300 < subscribers.ends[hidden.id][1] < 340


def test_canceling_runs_are_polled_by_get_run():
    service = SimulatedService()
    for _ in range(50):
        service.add(1000, end="CANCELING")
    subscribers = Subscribers(service)
    subscribers.run(until=1300)
    assert not subscribers.ends
    assert all(seen[-1] == "CANCELING" for seen in subscribers.changes.values())
    assert service.requests["ListRuns"] <= 2 * 1000 / 30 + 4


def test_one_old_run_does_not_cause_paging_through_newer_ones():
    service = SimulatedService(get_seconds=0.05, page_seconds=0.1)
    old = service.add(20_000)
    for _ in range(2000):
        service.add(20_000, created=1.0)
    mine = [service.add(20_000, created=2.0).id for _ in range(100)]
    Subscribers(service).run([old.id, *mine], until=3600)
    assert service.requests["ListRuns"] < 3600 / 30 * 1.5
    assert service.polls[old.id] > 30


def test_newer_runs_of_others_limit_the_pages_of_a_round():
    """Thirty runs behind thirty thousand others: ListRuns costs at most a fifth more than GetRun alone."""
    service = SimulatedService(page_seconds=0.5)
    mine = [service.add(20_000).id for _ in range(30)]
    for _ in range(30_000):
        service.add(20_000, created=1.0)
    Subscribers(service).run(mine, until=1200)
    assert service.requests["ListRuns"] <= 1.1 * service.requests["GetRun"] / 5
    assert min(service.polls[run_id] for run_id in mine) >= 1200 / 30 - 1


def test_missing_permission_for_list_runs_falls_back_to_get_run(caplog):
    service = SimulatedService()
    for _ in range(50):
        service.add(300)
    service.errors["ListRuns"] = [
        ServiceError(operation="ListRuns", status=404, message="not authorized") for _ in range(1000)
    ]
    subscribers = Subscribers(service)
    subscribers.run()
    assert len(subscribers.ends) == 50
    # Twice at first, and twice after a minute and two more.
    assert service.requests["ListRuns"] <= 6
    assert caplog.text.count("each run is polled by GetRun") <= 3


@pytest.mark.parametrize(
    "error",
    [
        ServiceError(operation="ListRuns", status=401, code="NotAuthenticated", message="stray"),
        UnexpectedResponse(operation="ListRuns", message="a proxy's page"),
    ],
    ids=["refused", "malformed"],
)
def test_lists_go_on_after_a_single_bad_response(error):
    """With GetRun alone, 2,000 runs would be polled every 100 seconds."""
    service = SimulatedService()
    for number in range(2000):
        service.add(3000.0 + number)
    service.errors["ListRuns"] = [error]
    subscribers = Subscribers(service)
    subscribers.run(until=600)
    assert service.requests["ListRuns"] > 15
    assert service.requests["GetRun"] < 10


class HangingService(SimulatedService):
    """Lets requests hang until their timeout, between two times."""

    def __init__(self, begin: float, end: float) -> None:
        super().__init__()
        self.begin, self.end = begin, end

    async def _send(self, operation: str, seconds: float) -> None:
        if self.begin <= asyncio.get_running_loop().time() < self.end:
            await asyncio.sleep(70)
            raise ServiceError(operation=operation, message="timeout")
        await super()._send(operation, seconds)


@pytest.mark.parametrize("end", [250.0, 300.0, 320.0, 400.0])
def test_lists_go_on_after_an_outage_in_which_requests_hang(end):
    """The last ListRuns of the outage fails when GetRun works again."""
    service = HangingService(100.0, end)
    for _ in range(2000):
        service.add(10**6)
    last = service.add(end + 120)
    subscribers = Subscribers(service)
    subscribers.run(until=end + 300)
    assert subscribers.ends[last.id][1] <= last.ended + 31


def test_run_that_a_list_shows_in_another_state_than_its_filter_is_polled_by_get_run():
    """An index can lag behind the row that it points to."""

    class LaggingService(SimulatedService):
        async def list_runs_page(self, *args, **kwargs):
            page = await super().list_runs_page(*args, **kwargs)
            for row in page.rows:
                if row["id"] == stopping.id and asyncio.get_running_loop().time() >= 100:
                    row["lifecycleState"] = "CANCELING"
            return page

    service = LaggingService()
    for _ in range(20):
        service.add(10**6)
    stopping = service.add(110, end="CANCELED")
    subscribers = Subscribers(service, poll_interval=4.0)
    subscribers.run(until=300)
    assert subscribers.ends[stopping.id] == ("CANCELED", pytest.approx(112.5, abs=2.6))


def test_refused_page_size_falls_back_to_smaller_pages():
    service = SimulatedService()
    for _ in range(300):
        service.add(100)
    service.errors["ListRuns"] = [ServiceError(operation="ListRuns", status=400, message="limit")]
    subscribers = Subscribers(service)
    subscribers.run()
    assert len(subscribers.ends) == 300
    assert service.requests["ListRuns"] > 3


def test_outage_is_logged_once_and_ends_no_subscription(caplog):
    caplog.set_level(logging.INFO)
    service = SimulatedService()
    for _ in range(200):
        service.add(600)
    service.errors["ListRuns"] = [ServiceError(operation="ListRuns", status=503, message="down")] * 10
    subscribers = Subscribers(service)
    subscribers.run()
    assert len(subscribers.ends) == 200
    assert [record.levelname for record in caplog.records if "200 runs" in record.message] == ["WARNING"]
    assert "responds again" in caplog.text


def test_outage_uses_the_error_budget_of_each_subscription():
    service = SimulatedService()
    for _ in range(100):
        service.add(60_000)
    down = ServiceError(operation="ListRuns", status=503, message="down")
    service.errors = {"ListRuns": [down] * 10_000, "GetRun": [down] * 10_000}

    async def main():
        poller = RunPoller(service.make)

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


def test_429_pauses_all_requests_and_then_slows_them_down():
    service = SimulatedService()
    for _ in range(40):
        service.add(3600, compartment="another")
    service.errors["GetRun"] = [
        ServiceError(operation="GetRun", status=429, message="slow down", retry_after=20)
    ] * 3
    Subscribers(service, compartment_id=None).run(until=300)
    sent = service.sent_at
    first = sent.index(next(at for at in sent if at >= 20))
    assert first <= 5  # the requests in flight when the first 429 arrived
    gaps = [
        later - earlier for earlier, later in zip(sent[first:], sent[first + 1 : first + 10], strict=False)
    ]
    assert min(gaps) > 1.5 / 20


def test_connections_and_requests_per_second_are_limited():
    service = SimulatedService(get_seconds=1.0)
    for _ in range(500):
        service.add(1.0)
    subscribers = Subscribers(service)
    subscribers.run()
    assert len(subscribers.ends) == 500
    assert service.most_at_once == MAX_CONNECTIONS
    assert all(
        later - earlier >= 1 / 20 - 1e-9
        for earlier, later in zip(service.sent_at, service.sent_at[1:], strict=False)
    )


def test_twenty_thousand_subscriptions_leak_no_objects():
    service = SimulatedService()
    ids = [service.add(10**9).id for _ in range(1000)]

    async def main():
        poller = RunPoller(service.make)

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
        for _ in range(18):
            await batch()
        gc.collect()
        # The scheduler's outdated entries are removed now and then, not at once.
        assert len(gc.get_objects()) - before < 5 * len(ids)
        assert not poller._registry.runs
        assert not poller._registry.compartments
        await poller.close()

    virtual_time.run(main())


def test_subscription_needs_less_than_four_kilobytes():
    service = SimulatedService()
    ids = [service.add(10**9).id for _ in range(500)]

    async def main():
        poller = RunPoller(service.make)
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


def test_error_in_a_callback_does_not_end_the_subscription():
    service = SimulatedService()
    service.add(60)

    async def main():
        poller = RunPoller(service.make)
        run = await poller.wait_for(
            next(iter(service.runs)), states=SUCCESS_STATES, poll_interval=10, on_change=lambda run: 1 / 0
        )
        await poller.close()
        return run.state

    assert virtual_time.run(main()) == "SUCCEEDED"
