"""What a waiting trigger weighs, which is what a triggerer with thousands of them needs memory for."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from airflow_provider_dataflow.compat import BaseTrigger, TriggerEvent, triggers_have_on_kill
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.triggers.run import RunTrigger
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import COMPARTMENT, SimulatedService

TRIGGERS = 500


class Sleeper(BaseTrigger):
    """Airflow's own part."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # Its logger belongs to it.
        self.log.debug("waiting")
        await asyncio.sleep(10**9)
        yield TriggerEvent(None)


async def fire(trigger: BaseTrigger) -> None:
    async for _ in trigger.run():
        pass


async def weight(make: Callable[[int], BaseTrigger]) -> float:
    """Bytes for each, as soon as all wait."""
    # What comes with the first one, such as imports, is none of it.
    first = asyncio.create_task(fire(make(0)))
    await asyncio.sleep(100)
    gc.collect()
    tracemalloc.start()
    try:
        tasks = [asyncio.create_task(fire(make(number))) for number in range(1, TRIGGERS + 1)]
        await asyncio.sleep(100)
        assert not any(task.done() for task in tasks)
        gc.collect()
        found = tracemalloc.get_traced_memory()[0] / TRIGGERS
    finally:
        tracemalloc.stop()
    for task in [first, *tasks]:
        task.cancel()
    await asyncio.gather(first, *tasks, return_exceptions=True)
    return found


@pytest.fixture
def service(mocker) -> SimulatedService:
    service = SimulatedService()

    async def client(_: DataFlowHook) -> SimulatedService:
        return service

    mocker.patch.object(DataFlowHook, "async_client", client)
    return service


@pytest.mark.skipif(not triggers_have_on_kill(), reason="what Airflow itself has for a trigger differs")
def test_a_waiting_trigger_weighs_less_than_two_kilobytes_over_airflows_own(service):
    runs = [service.add(10**9).id for _ in range(TRIGGERS + 1)]
    ours = virtual_time.run(weight(lambda number: RunTrigger(runs[number], compartment_id=COMPARTMENT)))
    assert service.requests["ListRuns"], "they wait together"
    own = virtual_time.run(weight(lambda _: Sleeper()))
    assert 0 < ours - own < 2048
