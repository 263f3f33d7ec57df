"""Many triggers share one poller, and the service sends malformed responses about most runs."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_dataflow.client.run_events import stream
from airflow_provider_dataflow.triggers.base import PollingTrigger
from airflow_provider_dataflow.triggers.events import Outcome, PoolEvent, RunEvent, StatementEvent
from airflow_provider_dataflow.triggers.pool import PoolTrigger
from airflow_provider_dataflow.triggers.run import RunTrigger
from airflow_provider_dataflow.triggers.run_event import RunEventTrigger
from airflow_provider_dataflow.triggers.statement import StatementTrigger
from tests.unit.hostile import NO_RESOURCE, HostileService, response, runs_with_invalid_fields
from tests.unit.support import COMPARTMENT_ID, run_body

HEALTHY = [f"ocid1.dataflowrun.oc1.iad.healthy{number}" for number in range(5)]
#: Limit of a test. Each takes a few seconds.
TIMEOUT_SECONDS = 120


@pytest.fixture(autouse=True)
def poll_fast(monkeypatch):
    monkeypatch.setattr(PollingTrigger, "NO_EVENT_BEFORE_SECONDS", 0)
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__MAX_REQUESTS_PER_SECOND", "1000")


@pytest.fixture
def service(connection) -> Iterator[HostileService]:
    service = HostileService(lambda method, path: b"")
    connection(service.url)
    yield service
    service.close()


class EndingRuns:
    """Runs that end with their fourth poll."""

    def __init__(self) -> None:
        self._polls: dict[str, Iterator[int]] = {}

    def response(self, run_id: str, **fields: Any) -> bytes:
        polls = next(self._polls.setdefault(run_id, itertools.count()))
        state = "SUCCEEDED" if polls >= 3 else "IN_PROGRESS"
        return response(run_body(state, **{"id": run_id, "compartmentId": COMPARTMENT_ID, **fields}))


async def event_of(trigger: Any) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def trigger_for(run_id: str, **kwargs: Any) -> RunTrigger:
    arguments = {"poll_interval": 0.2, "error_budget": 1.0, "compartment_id": COMPARTMENT_ID}
    return RunTrigger(run_id, **{**arguments, **kwargs})


async def run_all(bad: dict[str, RunTrigger], healthy: dict[str, RunTrigger]) -> dict[str, RunEvent]:
    triggers = {**bad, **healthy}
    async with asyncio.timeout(TIMEOUT_SECONDS):
        payloads = await asyncio.gather(*(event_of(trigger) for trigger in triggers.values()))
    return dict(zip(triggers, map(RunEvent.parse, payloads), strict=True))


@pytest.mark.parametrize("lists", ["refused", *random.Random(1).sample(sorted(NO_RESOURCE), 4)])
async def test_malformed_responses_lose_only_their_runs(service, lists):
    runs = EndingRuns()
    about = {f"bad{number}": data for number, data in enumerate(NO_RESOURCE.values())}

    def respond(method: str, path: str) -> bytes:
        name = path.rpartition("/")[2]
        if name in HEALTHY:
            return runs.response(name)
        if "?" in name:
            return NO_RESOURCE.get(lists) or response({"code": "NotAuthorizedOrNotFound"}, "404 No")
        return about[name]

    service.respond = respond
    bad = {name: trigger_for(name) for name in about}
    events = await run_all(bad, {name: trigger_for(name, error_budget=1800) for name in HEALTHY})
    for name in HEALTHY:
        assert events[name] == RunEvent(Outcome.REACHED, name, "SUCCEEDED")
    for name in bad:
        assert events[name].outcome is Outcome.LOST, name
        assert events[name].message


@pytest.mark.parametrize("seed", range(3))
async def test_odd_fields_lose_only_their_runs(service, seed):
    runs = EndingRuns()
    about = {f"bad{number}": body for number, body in enumerate(runs_with_invalid_fields(seed, 40))}

    def respond(method: str, path: str) -> bytes:
        name = path.rpartition("/")[2]
        if name in HEALTHY:
            return runs.response(name)
        if "?" in name:
            return response("[" + ",".join([*about.values(), *map(str, [{}])]) + "]")
        return response(about[name])

    service.respond = respond
    # A body that can be read at all is of a run in progress.
    bad = {name: trigger_for(name, target_states=["IN_PROGRESS"], error_budget=3.0) for name in about}
    events = await run_all(bad, {name: trigger_for(name, error_budget=1800) for name in HEALTHY})
    assert {events[name].outcome for name in HEALTHY} == {Outcome.REACHED}
    outcomes = {events[name].outcome for name in bad}
    assert outcomes == {Outcome.LOST, Outcome.REACHED}


async def test_unusable_arguments_in_a_row_are_replaced_and_affect_no_other_task(service):
    """An older version with weaker checks may have written the row."""
    runs = EndingRuns()

    def respond(method: str, path: str) -> bytes:
        name = path.rpartition("/")[2]
        return runs.response(name) if name in HEALTHY else response(run_body("SUCCEEDED", id=name))

    service.respond = respond
    odd: list[dict[str, Any]] = [
        {"error_budget": timedelta(seconds=1)},
        {"error_budget": "1"},
        {"error_budget": "soon"},
        {"error_budget": None},
        {"error_budget": float("nan")},
        {"error_budget": -1},
        {"poll_interval": "0.2"},
        {"poll_interval": timedelta(seconds=0.2)},
        {"poll_interval": "often"},
        {"poll_interval": None},
        {"poll_interval": 0},
        {"poll_interval": -5},
        {"deadline": "tomorrow"},
        {"deadline": []},
        {"compartment_id": ["c"]},
    ]
    bad = {f"bad{number}": trigger_for(f"bad{number}", **arguments) for number, arguments in enumerate(odd)}
    events = await run_all(bad, {name: trigger_for(name, error_budget=1800) for name in HEALTHY})
    assert {event.outcome for event in events.values()} == {Outcome.REACHED}


async def test_malformed_responses_lose_only_their_pools_and_statements(service):
    """Each trigger gets one kind of malformed response."""
    names = list(NO_RESOURCE)

    def respond(method: str, path: str) -> bytes:
        parts = path.split("/")
        if parts[2] == "pools" and parts[3] == "healthy":
            return response({"id": "healthy", "lifecycleState": "ACTIVE"})
        if parts[2] == "runs" and parts[3] == "healthy":
            body = {"id": 1, "lifecycleState": "SUCCEEDED"} if len(parts) > 4 else run_body("IN_PROGRESS")
            return response(body)
        if parts[2] == "runs" and len(parts) == 4:
            return response(run_body("IN_PROGRESS"))
        return NO_RESOURCE[names[int(parts[3])]]

    service.respond = respond
    common: dict[str, Any] = {"poll_interval": 0.2, "error_budget": 1.0}
    numbers = [str(number) for number in range(len(names))]
    async with asyncio.timeout(TIMEOUT_SECONDS):
        pools = await asyncio.gather(
            *(event_of(PoolTrigger(number, **common)) for number in [*numbers, "healthy"])
        )
        statements = await asyncio.gather(
            *(event_of(StatementTrigger(number, 1, **common)) for number in [*numbers, "healthy"])
        )
    for kind, payloads in ((PoolEvent, pools), (StatementEvent, statements)):
        *lost, healthy = [kind.parse(payload) for payload in payloads]
        assert healthy.outcome is Outcome.REACHED
        for name, event in zip(names, lost, strict=True):
            assert event.outcome is Outcome.LOST, name
            assert event.message


async def test_watcher_reports_healthy_run_among_malformed_ones(service, mocker):
    """It survives malformed pages, and a malformed row hides no other row."""
    mocker.patch.object(stream, "jittered", side_effect=lambda seconds: seconds)
    malformed = iter(NO_RESOURCE.values())
    runs = EndingRuns()
    requests = itertools.count()

    def respond(method: str, path: str) -> bytes:
        name = path.rpartition("/")[2]
        if name in HEALTHY:
            return runs.response(name)
        number = next(requests)
        if number < len(NO_RESOURCE):
            return next(malformed)
        rows: list[Any] = [{"id": []}, {"id": "odd", "lifecycleState": 5}, {}]
        if number > len(NO_RESOURCE) + 20:
            rows.append(run_body("IN_PROGRESS", id=HEALTHY[0], timeCreated="2999-01-01T00:00:00Z"))
        return response(rows)

    service.respond = respond
    trigger = RunEventTrigger(compartment_id=COMPARTMENT_ID, poll_interval=0.05)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        payload = await event_of(trigger)
    assert payload["run_id"] == HEALTHY[0]
    assert payload["state"] == "SUCCEEDED"
