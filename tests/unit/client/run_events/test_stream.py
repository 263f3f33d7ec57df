from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_dataflow.client.async_client import RunPage
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.run_events.stream import RunStream, Scope
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import TERMINAL_STATES
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


class Watch:
    """Collects what a stream yields.

    :ivar seen: ids and states, in their order.
    """

    def __init__(self, service: SimulatedService) -> None:
        self.service = service
        self.seen: list[tuple[str, str]] = []

    async def _collect(self, seconds: float) -> None:
        poller = RunPoller(self.service.make)
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(seconds),
                RunStream(poller, Scope(COMPARTMENT), 30, now=self.service.now) as stream,
            ):
                async for run in stream:
                    if run is not None:
                        self.seen.append((run.id, run.state))
        await poller.close()

    def run(self, seconds: float) -> set[str]:
        """Return the ids of the runs whose end was seen."""
        virtual_time.run(self._collect(seconds))
        return {run_id for run_id, state in self.seen if state in TERMINAL_STATES}


def test_runs_that_are_created_while_the_stream_starts_are_followed():
    service = SimulatedService()
    created = [service.add(300, created=number / 10) for number in range(1, 51)]
    assert Watch(service).run(600) == {run.id for run in created}


def test_run_that_is_about_to_end_when_the_stream_starts_is_followed():
    class CancelingService(SimulatedService):
        """Its runs are CANCELING in their last hundred seconds."""

        async def list_runs_page(self, compartment_id, *, limit, page=None, **filters):
            if filters.get("lifecycle_state") != "CANCELING":
                return await super().list_runs_page(compartment_id, limit=limit, page=page, **filters)
            await self._send("ListRuns", self.page_seconds)
            now = asyncio.get_running_loop().time()
            return RunPage(
                [run.body(now) | {"lifecycleState": "CANCELING"} for run in self.runs.values()], None
            )

    service = CancelingService()
    canceling = service.add(10_100, created=-10_000, end="CANCELED")
    service.unlisted.add(canceling.id)
    assert Watch(service).run(300) == {canceling.id}


@pytest.mark.parametrize("minutes", [4, 6, 60])
def test_runs_are_followed_after_their_service_refused_requests(minutes):
    """A wait gives up after five minutes of 401, which a change of a policy can cause."""

    class RefusingService(SimulatedService):
        async def _send(self, operation, seconds):
            await super()._send(operation, seconds)
            if 100 <= asyncio.get_running_loop().time() < 100 + 60 * minutes:
                raise ServiceError(operation=operation, status=401, code="NotAuthenticated", message="no")

    service = RefusingService()
    runs = [service.add(5000, created=10.0 + number) for number in range(15)]
    runs.append(service.add(300, created=800))
    watch = Watch(service)
    assert watch.run(6000) == {run.id for run in runs}
    assert len(watch.seen) == len(set(watch.seen))


def test_run_of_more_than_a_day_is_followed_after_its_service_refused_requests():
    """Its last change of state is then longer ago than the time for which errors are tolerated."""
    hour = 3600

    class RefusingService(SimulatedService):
        async def _send(self, operation, seconds):
            await super()._send(operation, seconds)
            if 30 * hour <= asyncio.get_running_loop().time() < 30 * hour + 600:
                raise ServiceError(operation=operation, status=401, code="NotAuthenticated", message="no")

    service = RefusingService()
    run = service.add(32 * hour, created=10.0)
    assert Watch(service).run(33 * hour) == {run.id}


def test_run_that_cannot_be_read_for_a_day_is_dropped(caplog):
    service = SimulatedService()
    for _ in range(2):
        service.add(10**6)
    lost = service.add(3 * 24 * 3600, created=1.0)

    async def get_run(run_id):
        service.polls[run_id] += 1
        if run_id == lost.id and asyncio.get_running_loop().time() > 100:
            raise ServiceError(
                operation="GetRun", status=404, code="NotAuthorizedOrNotFound", message="moved"
            )
        return await SimulatedService.get_run(service, run_id)

    service.get_run = get_run  # type: ignore[method-assign]
    Watch(service).run(30 * 3600)
    about_run = [message for message in caplog.messages if lost.id in message]
    assert ["trying again" in about_run[0], "not watched any more" in about_run[1]] == [True, True]
    assert len(about_run) == 2
    polls = service.polls[lost.id]
    assert polls < 25 * 3600 / (30 * 0.75)
