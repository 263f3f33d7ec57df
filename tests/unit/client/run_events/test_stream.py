from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider_dataflow.client.async_client import RunPage
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.run_events.stream import RunStream, Scope
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import COMPARTMENT, SimulatedService


class ServiceWithoutTimes(SimulatedService):
    """Leaves out the creation time of some runs.

    :ivar untimed: ids of these runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.untimed: set[str] = set()

    async def list_runs_page(
        self, compartment_id: str, *, limit: int, page: str | None = None, **filters: str
    ) -> RunPage:
        found = await super().list_runs_page(compartment_id, limit=limit, page=page, **filters)
        for row in found.rows:
            if row["id"] in self.untimed:
                del row["timeCreated"]
        return found


@pytest.mark.parametrize("of_application", [False, True], ids=["compartment", "application"])
def test_run_without_creation_time_hides_no_later_run(of_application):
    service = ServiceWithoutTimes()
    untimed = service.add(100_000, created=100.0)
    later = service.add(100_000, created=1000.0)
    service.untimed.add(untimed.id)

    async def main() -> list[str]:
        poller = RunPoller(service.make)
        scope = Scope(COMPARTMENT, later.application if of_application else None)
        seen: list[Any] = []
        async with RunStream(poller, scope, 30, now=service.now) as stream:
            async with asyncio.timeout(2000):
                while later.id not in seen:
                    run = await anext(stream)
                    seen.append(run and run.id)
        await poller.close()
        return seen

    seen = virtual_time.run(main())
    assert seen[0] is None
    assert set(seen[1:]) == {untimed.id, later.id}
