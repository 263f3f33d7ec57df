"""RunEventTrigger on Airflow's shared streams, in virtual time."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing

import pytest

pytest.importorskip("airflow.triggers.shared_stream", reason="needs Airflow 3.3")

from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_provider_dataflow.client.run_events.reported_runs import SETTLE_SECONDS
from airflow_provider_dataflow.exceptions import InvalidArgument, ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.triggers.run_event import RunEventTrigger
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import COMPARTMENT, SimulatedService

APPLICATION = "ocid1.dataflowapplication.oc1.iad.nightly"


class Store:
    """Airflow's store of one asset."""

    def __init__(self):
        self.values = {}

    async def aget(self, key, default=None):
        await asyncio.sleep(0.01)
        return self.values.get(key, default)

    async def aset(self, key, value):
        await asyncio.sleep(0.01)
        self.values[key] = value


@pytest.fixture
def service(mocker, connection):
    # The runs count their times from now, because the trigger reads the real clock.
    service = SimulatedService(epoch=time.time())

    async def make(hook):
        return service

    mocker.patch.object(DataFlowHook, "async_client", make)
    return service


class Triggerer:
    """Runs triggers like Airflow's triggerer, and stores their events one second later."""

    def __init__(self):
        self.stored = []

    async def watch(self, trigger, seconds, *, shared=True, graceful=True):
        """Run a trigger for some seconds.

        :param graceful: call ``cleanup`` at the end; False for a triggerer that is killed.
        """
        manager, events = SharedStreamManager(), []
        loop = asyncio.get_running_loop()

        async def consume():
            key = trigger.shared_stream_key()
            if shared:
                stream = manager.subscribe(trigger_id=1, trigger=trigger, key=key)
                source = trigger.filter_shared_stream(stream)
            else:
                source = trigger.run()
            async with aclosing(source):
                async for event in source:
                    events.append(  # noqa: PERF401
                        (loop.time(), event.payload)
                    )

        task = asyncio.create_task(consume())
        await asyncio.sleep(seconds)
        end = loop.time()
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await manager.stop_all()
        if graceful:
            await trigger.cleanup()
        self.stored += [(at, payload) for at, payload in events if at < end - 1]

    @property
    def reported(self):
        return [payload["run_id"] for _, payload in self.stored]


def trigger(store=None, **kwargs):
    made = RunEventTrigger(**{"compartment_id": COMPARTMENT} | kwargs)
    made.asset_state_store = store
    return made


@pytest.mark.parametrize("states", [[], "DONE", ["DONE"], None, 5])
def test_unusable_states_are_refused_in_a_dag(states):
    with pytest.raises(InvalidArgument, match="states"):
        RunEventTrigger(states=states)


def test_watchers_of_different_states_share_a_stream():
    assert trigger(states=["FAILED"]).shared_stream_key() == trigger().shared_stream_key()
    assert trigger(application_id="a").shared_stream_key() != trigger().shared_stream_key()


@pytest.mark.parametrize("shared", [True, False])
def test_runs_are_reported_whoever_started_them(service, shared):
    before = service.add(50, created=-100.0)
    active = service.add(300, created=-100.0)
    quick = service.add(8, created=400.0)
    failed = service.add(100, created=400.0, end="FAILED")
    later = service.add(600, created=1000.0)
    triggerer = Triggerer()
    virtual_time.run(triggerer.watch(trigger(), 2000, shared=shared))
    assert triggerer.reported == [active.id, quick.id, later.id]
    assert before.id not in triggerer.reported
    assert failed.id not in triggerer.reported
    (_, event) = triggerer.stored[0]
    assert event["state"] == "SUCCEEDED"
    assert event["application_id"] == active.application
    for at, event in triggerer.stored:
        assert at - service.runs[event["run_id"]].ended < 130


def test_only_runs_of_the_application_are_reported(service):
    mine = service.add(300, created=100.0, application=APPLICATION)
    service.add(300, created=100.0)
    active = service.add(300, created=-100.0, application=APPLICATION)
    triggerer = Triggerer()
    virtual_time.run(triggerer.watch(trigger(application_id=APPLICATION), 1000))
    assert triggerer.reported == [active.id, mine.id]


def test_start_of_a_run_can_be_an_event(service):
    service.add(3000, created=-100.0, accepted=1.0)  # had started before
    run = service.add(3000, created=100.0, accepted=60.0)
    triggerer = Triggerer()
    virtual_time.run(triggerer.watch(trigger(states=["IN_PROGRESS"]), 1000))
    assert triggerer.reported == [run.id]


def test_two_watchers_send_no_more_requests_than_one(service):
    for number in range(20):
        service.add(600, created=100.0 * number)

    async def main():
        manager = SharedStreamManager()
        triggers = [trigger(), trigger(states=["FAILED"])]

        async def consume(number, one):
            stream = manager.subscribe(trigger_id=number, trigger=one, key=one.shared_stream_key())
            return [event async for event in one.filter_shared_stream(stream)]

        tasks = [asyncio.create_task(consume(*item)) for item in enumerate(triggers)]
        await asyncio.sleep(3600)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await manager.stop_all()

    virtual_time.run(main())
    # Two lists per poll: new runs and active ones. Two streams would need twice as many.
    assert service.requests["ListRuns"] < 1.1 * 3600 / 30 * 2 + 20


def test_outage_loses_no_event(service):
    all_runs = [service.add(100, created=60.0 * number) for number in range(20)]
    down = ServiceError(operation="any", status=503, message="down")
    service.errors = {"ListRuns": [down] * 30, "GetRun": [down] * 30}
    triggerer = Triggerer()
    virtual_time.run(triggerer.watch(trigger(), 4000))
    # Runs that ended before the first response have no events.
    assert len(triggerer.reported) == len(set(triggerer.reported))
    assert set(triggerer.reported) >= {run.id for run in all_runs if run.ended > 1000}


@pytest.mark.parametrize("graceful", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_restarts_lose_and_repeat_no_event(service, seed, graceful):
    rng = random.Random(seed)
    all_runs = [
        service.add(rng.choice([5, 60, 300, 3000]), created=rng.uniform(10, 5_000)) for _ in range(100)
    ]
    old = service.add(9_000, created=-5_000.0)
    store, triggerer = Store(), Triggerer()
    ends = []

    async def main():
        loop = asyncio.get_running_loop()
        while loop.time() < 9_000:
            await triggerer.watch(trigger(store), rng.uniform(20, 1500), graceful=graceful)
            ends.append(loop.time())
            await asyncio.sleep(rng.uniform(0, 900))  # no triggerer runs

    virtual_time.run(main())
    reported = triggerer.reported
    assert set(reported) == {run.id for run in all_runs} | {old.id}
    # Events sent just before a stop, and stored all the same, are sent again: see docs/assets.md.
    twice = {run_id for run_id in reported if reported.count(run_id) > 1}
    for run_id in twice:
        first = min(at for at, payload in triggerer.stored if payload["run_id"] == run_id)
        assert any(first <= end < first + SETTLE_SECONDS + 2 for end in ends)


def test_no_event_is_repeated_without_a_store(service):
    """Before Airflow 3.3. Runs that end while no triggerer runs have no events."""
    for number in range(50):
        service.add(100, created=100.0 * number)
    triggerer = Triggerer()

    async def main():
        for _ in range(5):
            await triggerer.watch(trigger(), 1000, shared=False)

    virtual_time.run(main())
    assert len(triggerer.reported) == len(set(triggerer.reported)) > 40


def test_failing_store_delays_the_watch_and_loses_no_event(service):
    store = Store()
    run = service.add(100, created=100.0)

    async def main():
        triggerer = Triggerer()
        await triggerer.watch(trigger(store), 50)
        calls = 0
        aget = store.aget

        async def fails_twice(key, default=None):
            nonlocal calls
            calls += 1
            if calls <= 2:
                raise RuntimeError("no response")
            return await aget(key, default)

        store.aget = fails_twice
        await asyncio.sleep(200)
        await triggerer.watch(trigger(store), 300)
        return triggerer.reported

    assert virtual_time.run(main()) == [run.id]


def test_hash_of_the_row_is_that_of_the_trigger_in_the_dag():
    """Airflow compares them at each parse of the DAG. It would replace a trigger of another hash."""
    path, kwargs = trigger(states=["FAILED", "SUCCEEDED"]).serialize()
    stored = encode_trigger({"classpath": path, "kwargs": kwargs})["kwargs"]
    restored = RunEventTrigger(**{name: smart_decode_trigger_kwargs(value) for name, value in stored.items()})
    assert RunEventTrigger.hash(*restored.serialize()) == RunEventTrigger.hash(path, kwargs)
    assert RunEventTrigger.hash(path, stored) == RunEventTrigger.hash(path, kwargs)
