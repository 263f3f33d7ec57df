"""Jobs that are scheduled while they are in progress are never lost."""

from __future__ import annotations

import asyncio
import math

from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.poller.request_dispatcher import RequestDispatcher
from airflow_provider_dataflow.client.poller.request_sender import RequestSender
from airflow_provider_dataflow.client.poller.scheduler import Job, Scheduler
from airflow_provider_dataflow.client.poller.subscriptions import RunRegistry, Subscription
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import SimulatedService


def run_with(returned: float | None) -> int:
    """Return how often a job runs that becomes due again during its first run, which returns ``returned``."""
    runs = []

    async def run_job(job: Job) -> float | None:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) > 1:
            return None
        scheduler.schedule(job, runs[0] + 1)
        await asyncio.sleep(2)
        return returned

    async def main() -> None:
        scheduler.schedule(Job(), 0.0)
        await asyncio.sleep(100)
        await scheduler.stop()

    scheduler = Scheduler(run_job, lambda job, error: None)
    virtual_time.run(main())
    return len(runs)


def test_job_that_becomes_due_in_progress_runs_again():
    assert run_with(None) == 2


def test_due_time_that_a_job_returns_replaces_the_missed_one():
    assert run_with(50.0) == 2


def test_end_of_listing_schedules_runs_whose_polls_are_ending():
    """A poll that has decided that its run is listed is in progress until the event loop's next turn."""

    async def main() -> None:
        registry = RunRegistry()
        dispatcher = RequestDispatcher(registry, RequestSender(lambda: asyncio.sleep(0)))
        run = registry.add(Subscription("a", {"SUCCEEDED"}, 30.0, 60.0, None), "c")
        run.active_since, compartment = 0.0, run.compartment
        assert compartment is not None
        dispatcher._stop_listing(compartment, 60.0)
        assert run.due < math.inf
        await dispatcher.scheduler.stop()

    asyncio.run(main())


def test_run_that_was_forgotten_is_polled_again(caplog):
    """Nothing forgets a run. If a fault of the poller did, the run would be waited for for ever."""
    service = SimulatedService()
    run_id = service.add(100).id

    async def main() -> str:
        poller = RunPoller(service.make)
        waiting = asyncio.ensure_future(poller.wait_for(run_id, states=SUCCESS_STATES, poll_interval=30.0))
        await asyncio.sleep(10)
        run = poller._registry.runs[run_id]
        assert run.due < math.inf
        run.unschedule()
        found = await asyncio.wait_for(waiting, 600)
        await poller.close()
        return found.state

    assert virtual_time.run(main()) == "SUCCEEDED"
    assert f"Polling run {run_id} was not scheduled" in caplog.text
