from __future__ import annotations

import asyncio
import contextvars
import gc

import pytest

from airflow_provider_dataflow.client.poller.durations import History
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.poller.shared import shared_poller
from airflow_provider_dataflow.exceptions import InvalidConnection, RunLost, ServiceError
from airflow_provider_dataflow.models.run import SUCCESS_STATES, Run


class FakeClient:
    """Answers with the run's next state; the last one stays. An exception as a state is raised."""

    def __init__(self, **courses):
        self.courses = {run_id: list(states) for run_id, states in courses.items()}
        self.asked: list[str] = []
        self.closed = 0
        self.at_once = 0
        self.most_at_once = 0
        self.max_requests_per_second = 1000.0

    async def get_run(self, run_id):
        self.asked.append(run_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
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


def down(status=503, retry_after=None):
    return ServiceError(operation="GetRun", message="down", status=status, retry_after=retry_after)


async def wait(poller, run_id, interval=0.01, **kwargs):
    return await poller.wait_for(run_id, states=SUCCESS_STATES, poll_interval=interval, **kwargs)


async def test_a_wait_ends_with_the_run_and_tells_of_every_change():
    client = FakeClient(a=["ACCEPTED", "ACCEPTED", "IN_PROGRESS", "SUCCEEDED"])
    seen = []
    async with shared_poller("key", factory(client)) as poller:
        run = await wait(poller, "a", on_change=lambda run: seen.append(run.state))
    assert run.state == "SUCCEEDED"
    assert seen == ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]
    assert client.asked == ["a"] * 4


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "STOPPED"])
async def test_every_end_ends_the_wait(state):
    async with shared_poller("key", factory(FakeClient(a=["STOPPING", state]))) as poller:
        assert (await wait(poller, "a")).state == state


async def test_an_unknown_state_is_waited_out():
    client = FakeClient(a=["HIBERNATING", "SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_two_waits_for_one_run_ask_once():
    client = FakeClient(a=["IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        runs = await asyncio.gather(*(wait(poller, "a") for _ in range(10)))
    assert {run.state for run in runs} == {"SUCCEEDED"}
    assert len(client.asked) == 3


async def test_users_of_a_key_share_a_client_and_the_last_one_closes_it():
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


async def test_other_keys_have_other_pollers():
    async with shared_poller("a", factory(FakeClient())) as a, shared_poller("b", factory(FakeClient())) as b:
        assert a is not b


async def test_no_more_requests_at_once_than_connections():
    client = FakeClient(**{f"r{n}": ["SUCCEEDED"] for n in range(50)})
    async with shared_poller("key", factory(client)) as poller:
        await asyncio.gather(*(wait(poller, run_id) for run_id in client.courses))
    assert client.most_at_once <= 4


async def test_an_outage_within_the_budget_is_ridden_through():
    client = FakeClient(a=["IN_PROGRESS", down(), down(404), down(None), ValueError("ours"), "SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_an_outage_beyond_the_budget_loses_the_run_and_no_other():
    client = FakeClient(a=["IN_PROGRESS", down()], b=["IN_PROGRESS"] * 30 + ["SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        other = asyncio.create_task(wait(poller, "b"))
        with pytest.raises(RunLost, match="down") as caught:
            await wait(poller, "a", error_budget=0.05)
        assert caught.value.state == "IN_PROGRESS"
        assert (await other).state == "SUCCEEDED"


async def test_a_fault_of_the_poller_uses_up_the_budget_and_kills_nothing(mocker):
    client = FakeClient(a=["IN_PROGRESS"], b=["SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        fault = mocker.patch.object(History, "learn", side_effect=ZeroDivisionError("a fault of ours"))
        with pytest.raises(RunLost, match="a fault of ours"):
            await wait(poller, "a", error_budget=0.1)
        mocker.stop(fault)
        assert (await wait(poller, "b")).state == "SUCCEEDED"


async def test_retry_after_is_honoured():
    client = FakeClient(a=[down(429, retry_after=0.2), "SUCCEEDED"])
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with shared_poller("key", factory(client)) as poller:
        await wait(poller, "a")
    assert loop.time() - start >= 0.2


async def test_a_cancelled_wait_disturbs_nobody_and_leaves_nothing():
    client = FakeClient(a=["IN_PROGRESS"], b=["IN_PROGRESS"] * 10 + ["SUCCEEDED"])
    async with shared_poller("key", factory(client)) as poller:
        one = asyncio.create_task(wait(poller, "a"))
        two = asyncio.create_task(wait(poller, "b"))
        await asyncio.sleep(0.03)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        asked = client.asked.count("a")
        assert (await two).state == "SUCCEEDED"
        assert client.asked.count("a") <= asked + 1
        assert poller.is_idle


async def test_a_client_that_cannot_be_built_is_told_to_all_and_tried_again():
    client = FakeClient(a=["SUCCEEDED"])
    answers = [InvalidConnection("fingerprint: missing"), client]

    async def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with shared_poller("key", make) as poller:
        with pytest.raises(InvalidConnection):
            await asyncio.gather(wait(poller, "a"), wait(poller, "a"))
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_no_task_is_left_behind():
    before = len(asyncio.all_tasks())
    poller = RunPoller(factory(FakeClient(a=["IN_PROGRESS"])))
    waiting = asyncio.create_task(wait(poller, "a"))
    await asyncio.sleep(0.03)
    await poller.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gc.collect()
    assert len(asyncio.all_tasks()) == before


async def test_each_wait_keeps_to_its_interval():
    client = FakeClient(a=["IN_PROGRESS"])
    async with shared_poller("key", factory(client)) as poller:
        waiting = asyncio.create_task(wait(poller, "a", interval=0.1))
        await asyncio.sleep(0.55)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert 4 <= len(client.asked) <= 7


async def test_a_client_that_cannot_be_built_for_now_uses_up_the_budget_and_is_tried_again():
    client = FakeClient(a=["SUCCEEDED"])
    answers = [RuntimeError("the database of Airflow is away"), client]

    async def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with shared_poller("key", make) as poller:
        assert (await wait(poller, "a")).state == "SUCCEEDED"


async def test_a_subscriber_hears_in_its_own_context():
    """Airflow sends what is logged to the log of the task that the context names."""
    name = contextvars.ContextVar("name", default="nobody")
    client = FakeClient(a=["IN_PROGRESS", "SUCCEEDED"], b=["IN_PROGRESS", "SUCCEEDED"])
    heard = []

    async def subscribe(poller, run_id):
        name.set(run_id)
        await wait(poller, run_id, on_change=lambda run: heard.append((run.id, name.get())))

    async with shared_poller("key", factory(client)) as poller:
        await asyncio.gather(*(asyncio.create_task(subscribe(poller, run_id)) for run_id in "ab"))
    assert len(heard) == 4
    assert all(run_id == named for run_id, named in heard)


async def test_a_fork_gets_a_poller_of_its_own(mocker):
    async with shared_poller("key", factory(FakeClient())) as of_the_parent:
        mocker.patch("os.getpid", return_value=-1)
        async with shared_poller("key", factory(FakeClient())) as of_the_child:
            assert of_the_child is not of_the_parent
        mocker.stopall()


def test_a_new_loop_gets_a_poller_of_its_own():
    pollers = []

    async def main():
        async with shared_poller("key", factory(FakeClient(a=["SUCCEEDED"]))) as poller:
            pollers.append(poller)
            await wait(poller, "a")

    asyncio.run(main())
    asyncio.run(main())
    assert pollers[0] is not pollers[1]


async def test_a_429_for_a_log_slows_down_all():
    client = FakeClient(a=["SUCCEEDED"])

    async def list_run_logs(run_id):
        raise down(429, retry_after=0.4)

    client.list_run_logs = list_run_logs
    poller = RunPoller(factory(client))
    with pytest.raises(ServiceError):
        await poller.list_run_logs("a")
    started = asyncio.get_running_loop().time()
    await poller.wait_for("a", states=SUCCESS_STATES, poll_interval=0.01)
    assert asyncio.get_running_loop().time() - started > 0.3
    await poller.close()
