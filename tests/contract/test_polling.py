"""The poller and the watcher's stream through the real client, with scripted runs on a manual clock."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from airflow_provider_dataflow.client.run_events.stream import RunStream, Scope
from airflow_provider_dataflow.exceptions import RunLost
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from benchmarks.polling import manual_clock, six_hours


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with LocalDataFlow(
        tmp_path_factory.mktemp("polling") / "home",
        engine="scripted",
        clock="manual",
        max_concurrent_runs=1000,
    ) as service:
        yield service


@pytest.fixture
def submit(service):
    """Function that submits a run for each duration in seconds, and returns their ids."""
    service.reset()
    sdk, application_id = six_hours.create_application(service)

    def submit(*seconds):
        ids = [six_hours.submit(sdk, service, application_id, duration) for duration in seconds]
        service.clear_journal()
        return ids

    return submit


def test_many_runs_are_polled_by_list_runs_and_each_end_is_confirmed(service, submit):
    ids = submit(*range(300, 420))

    async def main(poller):
        waits = (
            poller.wait_for(
                run_id, states=SUCCESS_STATES, poll_interval=30, compartment_id=service.compartment_id
            )
            for run_id in ids
        )
        return await asyncio.gather(*waits)

    runs = manual_clock.run(service, main)
    assert {run.state for run in runs} == {"SUCCEEDED"}
    assert all(run.raw.get("arguments", "left out") != "left out" for run in runs), "not confirmed by GetRun"
    requests = Counter(entry["operation"] for entry in service.journal())
    assert requests["GetRun"] <= 1.1 * len(ids)
    assert requests["ListRuns"] < 60
    assert {entry["status"] for entry in service.journal()} == {200}


def test_429_delays_polls_and_loses_no_run(service, submit):
    ids = submit(*[200] * 40)
    service.add_fault("status", status=429, retry_after=60, count=3)

    async def main(poller):
        waits = (poller.wait_for(run_id, states=SUCCESS_STATES, poll_interval=30) for run_id in ids)
        return await asyncio.gather(*waits)

    assert {run.state for run in manual_clock.run(service, main)} == {"SUCCEEDED"}
    service.clear_faults()


def test_stream_yields_every_change_once(service, submit):
    submit(1000, 2000)

    async def main(poller):
        changes = []
        async with RunStream(poller, Scope(service.compartment_id), 30, now=service.now) as stream:
            assert await anext(stream) is None
            new = await asyncio.to_thread(submit, 5, 600)
            async for run in stream:
                changes.append((run.id, run.state))
                if len([state for _, state in changes if state == "SUCCEEDED"]) == 4:
                    return new, changes

    new, heard = manual_clock.run(service, main)
    assert len(set(heard)) == len(heard)
    assert [state for run_id, state in heard if run_id == new[1]][-2:] == ["IN_PROGRESS", "SUCCEEDED"]


@pytest.mark.parametrize(
    "fault",
    [{"fault": "status", "status": 503}, {"fault": "truncated_body", "bytes": 20}, {"fault": "drop"}],
    ids=lambda fault: fault["fault"],
)
def test_outage_for_some_runs_loses_only_these(service, submit, fault):
    bad, healthy = submit(*[100_000] * 6), submit(*[1000] * 3)
    for run_id in bad:
        service.add_fault(**fault, resource_id=run_id)

    async def main(poller):
        async def wait(run_id, **kwargs):
            return await poller.wait_for(run_id, states=SUCCESS_STATES, poll_interval=30, **kwargs)

        async with asyncio.timeout(24 * 3600):
            return await asyncio.gather(
                *(wait(run_id, error_budget=1800) for run_id in bad),
                *(wait(run_id) for run_id in healthy),
                return_exceptions=True,
            )

    ends = manual_clock.run(service, main)
    service.clear_faults()
    assert [run.state for run in ends[len(bad) :]] == ["SUCCEEDED"] * len(healthy)
    assert [type(end) for end in ends[: len(bad)]] == [RunLost] * len(bad)
    assert [end.run_id for end in ends[: len(bad)]] == bad
