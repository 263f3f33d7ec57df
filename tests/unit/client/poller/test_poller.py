from __future__ import annotations

import asyncio
import contextvars
import gc

import pytest

from airflow_provider_dataflow.client.poller.poller import RunPoller, shared_poller
from airflow_provider_dataflow.client.poller.subscriptions import PolledRun
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.exceptions import InvalidConnection, RunLost, ServiceError
from airflow_provider_dataflow.models.run import SUCCESS_STATES, Run
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import SimulatedService


class FakeClient:
    """Responds with the next state of a run, and repeats the last one. An exception as a state is raised."""

    def __init__(self, **courses):
        self.courses = {run_id: list(states) for run_id, states in courses.items()}
        self.polls: list[str] = []
        self.closed = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.rate_limit = RateLimit(1000.0)
        self.access = None

    async def get_run(self, run_id):
        self.polls.append(run_id)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        states = self.courses[run_id]
        state = states.pop(0) if len(states) > 1 else states[0]
        if isinstance(state, Exception):
            raise state
        return Run(id=run_id, state=state)

    async def close(self):
        self.closed += 1


def factory(client):
    async def make():
        return client

    return make


def service_error(status=503, retry_after=None):
    return ServiceError(operation="GetRun", message="down", status=status, retry_after=retry_after)


async def wait(poller, run_id, interval=0.01, **kwargs):
    return await poller.wait_for(run_id, states=SUCCESS_STATES, poll_interval=interval, **kwargs)


async def test_subscriber_hears_of_each_change_and_of_the_end():
    client = FakeClient(a=["ACCEPTED", "ACCEPTED", "IN_PROGRESS", "SUCCEEDED"])
    seen = []
    async with shared_poller("key", factory(client)) as poller:
        run = await wait(poller, "a", on_change=lambda run: seen.append(run.state))
    assert run.state == "SUCCEEDED"
    assert seen == ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]
    assert client.polls == ["a"] * 4


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "STOPPED"])
async def test_every_terminal_state_ends_a_subscription(state):
    async with shared_poller("key", factory(FakeClient(a=["STOPPING", state]))) as poller:
        assert (await wait(poller, "a")).state == state


async def test_polling_continues_in_an_unknown_state():
    client = FakeClient(a=["HIBERNATING", "SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_subscriptions_of_a_run_share_its_polls():
    client = FakeClient(a=["IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        runs = await asyncio.gather(*(wait(poller, "a") for _ in range(10)))
    assert {run.state for run in runs} == {"SUCCEEDED"}
    assert len(client.polls) == 3


async def test_shared_poller_is_closed_by_its_last_user():
    client = FakeClient(a=["SUCCEEDED"])
    made = 0

    async def make():
        nonlocal made
        made += 1
        return client

    async with shared_poller("key", make) as first:
        async with shared_poller("key", make) as second:
            assert second is first
            await wait(second, "a")
        assert client.closed == 0
        await wait(first, "a")
    assert (made, client.closed) == (1, 1)
    async with shared_poller("key", make) as third:
        assert third is not first


async def test_shared_poller_differs_by_key():
    async with shared_poller("a", factory(FakeClient())) as a, shared_poller("b", factory(FakeClient())) as b:
        assert a is not b


async def test_requests_in_flight_are_limited_by_connections():
    client = FakeClient(**{f"r{n}": ["SUCCEEDED"] for n in range(50)})
    async with shared_poller("key", factory(client)) as poller:
        await asyncio.gather(*(wait(poller, run_id) for run_id in client.courses))
    assert client.max_in_flight <= 4


async def test_errors_within_the_budget_are_tolerated():
    errors = [service_error(), service_error(404), service_error(None), ValueError("ours")]
    client = FakeClient(a=["IN_PROGRESS", *errors, "SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_errors_beyond_the_budget_end_only_their_own_subscription():
    client = FakeClient(a=["IN_PROGRESS", service_error()], b=["IN_PROGRESS"] * 30 + ["SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        other = asyncio.create_task(wait(poller, "b"))
        with pytest.raises(RunLost, match="down") as caught:
            await wait(poller, "a", error_budget=0.05)
        assert caught.value.state == "IN_PROGRESS"
        assert (await other).state == "SUCCEEDED"


async def test_poller_works_after_an_internal_error(mocker):
    client = FakeClient(a=["IN_PROGRESS"], b=["SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        fault = mocker.patch.object(PolledRun, "update", side_effect=ZeroDivisionError("internal error"))
        with pytest.raises(RunLost, match="internal error"):
            await wait(poller, "a", error_budget=0.1)
        mocker.stop(fault)
        assert (await wait(poller, "b")).state == "SUCCEEDED"


async def test_retry_after_delays_the_next_poll():
    client = FakeClient(a=[service_error(429, retry_after=0.2), "SUCCEEDED"])
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with shared_poller("key", factory(client)) as poller:
        await wait(poller, "a")
    assert loop.time() - start >= 0.2


async def test_cancelled_subscription_leaves_nothing_and_affects_no_other():
    client = FakeClient(a=["IN_PROGRESS"], b=["IN_PROGRESS"] * 10 + ["SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        one = asyncio.create_task(wait(poller, "a"))
        two = asyncio.create_task(wait(poller, "b"))
        await asyncio.sleep(0.03)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        polls = client.polls.count("a")
        assert (await two).state == "SUCCEEDED"
        assert client.polls.count("a") <= polls + 1
        total = len(client.polls)
        await asyncio.sleep(0.05)
        assert len(client.polls) == total


async def test_response_after_unsubscribe_leaves_nothing():
    """The subscriber can leave while its run is polled."""
    polled, respond = asyncio.Event(), asyncio.Event()
    client = FakeClient()

    async def get_run(run_id):
        polled.set()
        await respond.wait()
        return Run(id=run_id, state="IN_PROGRESS", compartment_id="c")

    client.get_run = get_run
    poller = RunPoller(factory(client))
    subscription = poller.subscribe("a", states=SUCCESS_STATES, poll_interval=0.01)
    await polled.wait()
    poller.unsubscribe(subscription)
    respond.set()
    await asyncio.wait(list(poller._scheduler._running))
    assert not poller._registry.runs
    assert not poller._registry.compartments
    await poller.close()


async def test_invalid_connection_ends_all_subscriptions_and_is_tried_again():
    client = FakeClient(a=["SUCCEEDED"])
    clients = [InvalidConnection("fingerprint: missing"), client]

    async def make():
        made = clients.pop(0)
        if isinstance(made, Exception):
            raise made
        return made

    async with shared_poller("key", make) as poller:
        with pytest.raises(InvalidConnection):
            await asyncio.gather(wait(poller, "a"), wait(poller, "a"))
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_closed_poller_leaves_no_task():
    before = len(asyncio.all_tasks())
    poller = RunPoller(factory(FakeClient(a=["IN_PROGRESS"])))
    waiting = asyncio.create_task(wait(poller, "a"))
    await asyncio.sleep(0.03)
    await poller.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gc.collect()
    assert len(asyncio.all_tasks()) == before


def test_run_is_polled_once_per_interval():
    client = FakeClient(a=["IN_PROGRESS"])

    async def main():
        async with shared_poller("key", factory(client)) as poller:
            waiting = asyncio.create_task(wait(poller, "a", interval=10))
            await asyncio.sleep(55)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    virtual_time.run(main())
    assert 5 <= len(client.polls) <= 7


async def test_client_that_cannot_be_built_for_a_while_uses_the_budget():
    client = FakeClient(a=["SUCCEEDED"])
    clients = [RuntimeError("the database of Airflow is away"), client]

    async def make():
        made = clients.pop(0)
        if isinstance(made, Exception):
            raise made
        return made

    async with shared_poller("key", make) as poller:
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_callback_runs_in_the_context_of_its_subscriber():
    """Airflow sends log lines to the log of the task that the context names."""
    name = contextvars.ContextVar("name", default="nobody")
    client = FakeClient(a=["IN_PROGRESS", "SUCCEEDED"], b=["IN_PROGRESS", "SUCCEEDED"])
    calls = []

    async def subscribe(poller, run_id):
        name.set(run_id)
        await wait(poller, run_id, on_change=lambda run: calls.append((run.id, name.get())))

    async with shared_poller("key", factory(client)) as poller:
        await asyncio.gather(*(asyncio.create_task(subscribe(poller, run_id)) for run_id in "ab"))
    assert len(calls) == 4
    assert all(run_id == named for run_id, named in calls)


async def test_forked_process_has_its_own_poller(mocker):
    async with shared_poller("key", factory(FakeClient())) as of_the_parent:
        mocker.patch("os.getpid", return_value=-1)
        async with shared_poller("key", factory(FakeClient())) as of_the_child:
            assert of_the_child is not of_the_parent
        mocker.stopall()


def test_new_loop_has_its_own_poller():
    pollers = []

    async def main():
        async with shared_poller("key", factory(FakeClient(a=["SUCCEEDED"]))) as poller:
            pollers.append(poller)
            await wait(poller, "a")

    asyncio.run(main())
    asyncio.run(main())
    assert pollers[0] is not pollers[1]


async def test_throttled_log_request_delays_polls():
    client = FakeClient(a=["SUCCEEDED"])

    async def list_run_logs(run_id):
        raise service_error(429, retry_after=0.4)

    client.list_run_logs = list_run_logs
    poller = RunPoller(factory(client))
    with pytest.raises(ServiceError):
        await poller.list_run_logs("a")
    started = asyncio.get_running_loop().time()
    await poller.wait_for("a", states=SUCCESS_STATES, poll_interval=0.01)
    assert asyncio.get_running_loop().time() - started > 0.3
    await poller.close()


def test_changes_are_reported_in_an_empty_context():
    """An empty context is falsy."""
    service = SimulatedService()
    run, seen = service.add(100), []

    async def main():
        poller = RunPoller(service.make)
        await poller.wait_for(
            run.id, states=SUCCESS_STATES, poll_interval=30, on_change=lambda run: seen.append(run.state)
        )
        await poller.close()

    contextvars.Context().run(virtual_time.run, main())
    assert seen[-1] == "SUCCEEDED"
