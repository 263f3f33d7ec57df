"""Memory of a waiting trigger, of which a triggerer may have thousands."""

from __future__ import annotations

import asyncio
import gc
import logging
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


class SleepingTrigger(BaseTrigger):
    """Trigger without anything of this package."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # Creates the logger, which RunTrigger has, too.
        self.log.debug("waiting")
        await asyncio.sleep(10**9)
        yield TriggerEvent(None)


async def run_to_end(trigger: BaseTrigger) -> None:
    async for _ in trigger.run():
        pass


async def bytes_per_trigger(make: Callable[[int], BaseTrigger]) -> float:
    # The first one causes imports, which are not counted.
    first = asyncio.create_task(run_to_end(make(0)))
    await asyncio.sleep(100)
    gc.collect()
    tracemalloc.start()
    try:
        tasks = [asyncio.create_task(run_to_end(make(number))) for number in range(1, TRIGGERS + 1)]
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


@pytest.mark.skipif(
    not triggers_have_on_kill(), reason="the limit is for the memory of a trigger in Airflow 3.3"
)
def test_waiting_trigger_needs_less_than_two_kilobytes(service):
    # What pytest captures of the log is not the memory of a trigger.
    silent = logging.getLogger("silent")
    silent.disabled = True
    # Python stores the attributes of instances compactly until one instance of the class
    # deviates, which other tests may have caused. A new class starts compact.
    fresh: type[RunTrigger] = type("FreshRunTrigger", (RunTrigger,), {})
    runs = [service.add(10**9).id for _ in range(TRIGGERS + 1)]

    def with_log(trigger: BaseTrigger) -> BaseTrigger:
        # On the instance, as Airflow stores it. With many attributes, one more costs two kilobytes.
        trigger._log = silent
        return trigger

    ours = virtual_time.run(
        bytes_per_trigger(lambda number: with_log(fresh(runs[number], compartment_id=COMPARTMENT)))
    )
    assert service.requests["ListRuns"], "the triggers do not share polls"
    empty = virtual_time.run(bytes_per_trigger(lambda _: with_log(SleepingTrigger())))
    assert 0 < ours - empty < 2048
