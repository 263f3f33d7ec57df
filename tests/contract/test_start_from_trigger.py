"""A task that starts in the triggerer: the trigger through the real clients, without a whole Airflow.

Airflow's part (the row, rendering, the task instance, XComs) is played here as it was measured.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument, NotSubmitted
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership import record_store
from airflow_provider_dataflow.ownership.acquire import AcquirePauses, RunAcquirer
from airflow_provider_dataflow.ownership.task_state import TaskState
from airflow_provider_dataflow.triggers import base as base_trigger
from airflow_provider_dataflow.triggers import live_log
from airflow_provider_dataflow.triggers import run as run_trigger
from airflow_provider_dataflow.triggers import submit as submit_trigger
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.submit import SubmitRunTrigger
from tests.contract.conftest import target_of
from tests.unit.support import FakeTaskInstance


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFlowFixture]:
    with DataFlowFixture(tmp_path_factory.mktemp("start"), engine="scripted") as server:
        yield server


@pytest.fixture
def local(server: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    server.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(run_trigger, "NO_EVENT_BEFORE", 0)
    return server


class Airflow:
    """What of Airflow a trigger that starts a task meets."""

    def __init__(self, local: DataFlowFixture, mocker: Any) -> None:
        self.application_id = target_of(local).create_application("hello.py").id
        self.xcoms: dict[str, Any] = {}
        self.state = "deferred"
        self.new_try()
        for module in (submit_trigger, record_store):
            mocker.patch.object(module, "push_xcom", lambda task, key, value: self._push(key, value))
        mocker.patch.object(record_store, "pull_xcom", lambda task, key: self.xcoms.get(key))
        mocker.patch.object(
            base_trigger,
            "read_task_state",
            lambda task, key: TaskState(True, self.state, self.xcoms.get(key)),
        )

    def _push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def new_try(self, try_number: int = 1) -> None:
        """A retry, or a clear: in both the task instance has another id, and XComs stay."""
        self.ti = FakeTaskInstance(id=uuid.uuid4(), try_number=try_number)

    def operator(self, **kwargs: Any) -> InvokeRunOperator:
        arguments: dict[str, Any] = {"application_id": self.application_id, "poll_interval": 0.1}
        arguments["fetch_logs"] = "never"
        return InvokeRunOperator(task_id="task", start_from_trigger=True, **arguments | kwargs)

    def trigger(self, **kwargs: Any) -> SubmitRunTrigger:
        """The trigger as the triggerer makes it from its row."""
        operator = self.operator(**kwargs)
        assert operator.start_from_trigger
        assert operator.start_trigger_args is not None
        row = json.loads(json.dumps(operator.start_trigger_args.trigger_kwargs))
        trigger = SubmitRunTrigger(**row)
        assert SubmitRunTrigger(**trigger.serialize()[1]).serialize() == trigger.serialize()
        trigger.task_instance = self.ti
        return trigger


def new_id() -> uuid.UUID:
    """A UUID of version 7, as Airflow gives each try."""
    bits = (int(time.time() * 1000) << 80) | (uuid.uuid4().int & (1 << 80) - 1)
    return uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


@pytest.fixture
def airflow(local: DataFlowFixture, mocker: Any) -> Airflow:
    return Airflow(local, mocker)


async def event_of(trigger: SubmitRunTrigger) -> RunEvent:
    async with asyncio.timeout(30):
        (event,) = [RunEvent.parse(event.payload) async for event in trigger.run()]
    return event


async def submitted(trigger: SubmitRunTrigger) -> asyncio.Task[RunEvent]:
    """The trigger, as soon as its run is under way."""
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(30):
        while trigger._run_trigger is None:  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    return task


async def unanswered(
    local: DataFlowFixture, airflow: Airflow, mocker: Any
) -> tuple[asyncio.Task[RunEvent], SubmitRunTrigger]:
    """A trigger whose submit has made a run, but got no answer, before it tries again."""
    local.keeps_running()
    local.add_fault("lost_response", operation="CreateRun")
    mocker.patch("airflow_provider_dataflow.client.retry.MAX_ATTEMPTS", 1)
    trigger = airflow.trigger(error_budget=600)
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(60):
        while trigger._acquirer is None or trigger._submit is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    local.clear_faults()
    return task, trigger


async def killed(task: asyncio.Task[RunEvent], trigger: SubmitRunTrigger) -> None:
    """As the triggerer does it."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await trigger.on_kill()


def test_it_submits_waits_and_says_whose_the_run_is(local, airflow):
    event = asyncio.run(event_of(airflow.trigger(num_executors="2", arguments=["--day", 1])))
    (run,) = local.runs
    assert event == RunEvent(Outcome.REACHED, run["id"], "SUCCEEDED")
    assert (run["numExecutors"], run["arguments"]) == (2, ["--day", "1"])
    assert run["freeformTags"]["airflow_dag_id"] == "dag"
    assert airflow.xcoms["run_id"] == run["id"]
    assert airflow.xcoms["run_page_url"].endswith(run["id"])
    result = airflow.operator().resume_execution(
        "execute_complete", {"event": event.payload()}, {"ti": FakeTaskInstance()}
    )
    assert result == run["id"]


async def test_a_restarted_triggerer_goes_on_with_the_run(local, airflow):
    local.keeps_running()
    task = await submitted(airflow.trigger())
    task.cancel()  # a restart: on_kill is not called
    await asyncio.gather(task, return_exceptions=True)
    again = airflow.trigger()
    task = await submitted(again)
    assert again._run_trigger.run_id == local.runs_created[0]
    assert len(local.runs_created) == 1
    assert local.cancels == []
    task.cancel()


async def test_no_xcom_is_asked_for_that_is_missing(local, airflow, mocker):
    """Airflow logs an error for each, in the log of the triggerer."""
    airflow.ti.id = new_id()
    for module in (record_store, live_log):
        # A KeyError is an XCom that is missing.
        mocker.patch.object(module, "pull_xcom", lambda task, key: airflow.xcoms[key])
    mocker.patch.object(live_log, "push_xcom", lambda task, key, value: airflow._push(key, value))
    debug = mocker.patch.object(SubmitRunTrigger, "log").debug
    local.keeps_running()
    task = await submitted(airflow.trigger(fetch_logs="always", completion_timeout=600))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.xcoms["log_cursor"] = {"spark_application_stdout.log.gz": 7}

    # Restarted so soon that it takes itself for the first.
    again = await submitted(airflow.trigger(fetch_logs="always", completion_timeout=600))
    run_ids = {entry["resource_id"] for entry in local.journal("CreateRun")}
    assert run_ids == {airflow.xcoms["run_id"]}, "the same token leads to the same run"
    local.end_run(airflow.xcoms["run_id"])
    assert (await again).outcome == "reached"
    debug.assert_not_called()


async def test_a_submit_whose_answer_was_not_recorded_is_repeated(local, airflow):
    local.keeps_running()
    task = await submitted(airflow.trigger())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.xcoms["oci_data_flow_submission"].pop("run_id")
    again = airflow.trigger()
    task = await submitted(again)
    assert [again._run_trigger.run_id] == local.runs_created
    task.cancel()


@pytest.mark.parametrize("try_number", [1, 2])
async def test_another_try_ends_the_run_from_before_and_starts_over(local, airflow, try_number):
    local.keeps_running()
    task = await submitted(airflow.trigger())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.new_try(try_number)
    local.succeeds()
    event = await event_of(airflow.trigger())
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED", "SUCCEEDED"]
    assert event.run_id == local.runs_created[1]


async def test_a_kill_cancels_the_run(local, airflow):
    local.keeps_running()
    trigger = airflow.trigger()
    task = await submitted(trigger)
    airflow.state = "failed"
    await killed(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


async def test_a_kill_while_the_submit_is_under_way_cancels_what_comes_of_it(local, airflow):
    local.keeps_running()
    local.add_fault("slow", operation="CreateRun", seconds=1)
    trigger = airflow.trigger()
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(10):
        while not local.runs_created:  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    airflow.state = "failed"
    await killed(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


async def test_a_kill_while_a_submit_waits_for_its_next_attempt_cancels_what_came_of_the_first(
    local, airflow, mocker
):
    """An answer that was lost: the run may exist."""
    task, trigger = await unanswered(local, airflow, mocker)
    airflow.state = "failed"
    await killed(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


async def test_a_triggerer_that_lost_its_task_leaves_an_unanswered_submit_to_the_other(
    local, airflow, mocker
):
    task, trigger = await unanswered(local, airflow, mocker)
    await killed(task, trigger)  # as it is told; the task is still deferred
    assert [run["lifecycleState"] for run in local.runs] == ["IN_PROGRESS"]


async def test_a_kill_finds_a_run_whose_xcoms_could_not_be_pushed(local, airflow, mocker):
    local.keeps_running()
    trigger = airflow.trigger()
    push = submit_trigger.push_xcom

    def refused(task, key, value):
        if key == "run_id":
            raise RuntimeError("the API server is away")
        push(task, key, value)

    mocker.patch.object(submit_trigger, "push_xcom", refused)
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(30):
        while trigger._run is None:  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    airflow.state = "failed"
    await killed(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


def test_the_row_of_another_version(local, airflow):
    trigger = airflow.trigger()
    trigger.settings["submit"]["added_tomorrow"] = True
    del trigger.settings["submit"]["private_endpoint_guard"]
    assert asyncio.run(event_of(trigger)).state == "SUCCEEDED"


async def test_what_cannot_be_submitted_fails_the_task_with_the_reason(local, airflow):
    local.add_fault("status", status=400, operation="CreateRun")
    event = await event_of(airflow.trigger())
    assert event.outcome is Outcome.NOT_SUBMITTED
    with pytest.raises(NotSubmitted, match="400 InvalidParameter"):
        airflow.operator().execute_complete({"ti": FakeTaskInstance()}, event.payload())


async def test_room_is_waited_for_in_the_triggerer(local, airflow, mocker):
    mocker.patch.object(RunAcquirer, "pauses", AcquirePauses(capacity_min=0.3))
    fault = local.add_fault("limit_exceeded", limit=0)
    task = asyncio.create_task(event_of(airflow.trigger()))
    async with asyncio.timeout(10):
        while not local.journal("CreateRun"):  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    local.clear_faults(fault)
    assert (await task).state == "SUCCEEDED"


async def test_the_timeout_counts_from_the_submit_over_restarts(local, airflow):
    local.keeps_running()
    trigger = airflow.trigger(completion_timeout=3600)
    task = await submitted(trigger)
    first = trigger._run_trigger.deadline
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.xcoms["oci_data_flow_submission"]["time"] -= 1800
    again = airflow.trigger(completion_timeout=3600)
    task = await submitted(again)
    assert again._run_trigger.deadline == pytest.approx(first - 1800, abs=5)
    task.cancel()


async def test_a_run_that_exists_is_only_waited_for(local, airflow):
    run_id = target_of(local).submit(airflow.application_id).id
    event = await event_of(airflow.trigger(application_id=None, run_id=run_id))
    assert (event.run_id, event.state) == (run_id, "SUCCEEDED")
    assert local.runs_created == [run_id]


def test_it_waits_for_the_end(airflow):
    with pytest.raises(InvalidArgument, match="start_from_trigger"):
        airflow.operator(wait_for_completion=False)


def rendered(trigger: SubmitRunTrigger, **context: Any) -> SubmitRunTrigger:
    """As Airflow does it in the triggerer, before it runs the trigger."""
    trigger.template_fields = tuple(
        name for name in InvokeRunOperator.template_fields if name in trigger.serialize()[1]
    )
    trigger.render_template_fields(context)
    return trigger


TEMPLATES: dict[str, Any] = {
    "poll_interval": "{{ x }}",
    "completion_timeout": "{{ hours }}",
    "target_states": "{{ states }}",
    "cancel_on_kill": "{{ switch }}",
    "error_budget": "{{ budget }}",
    "freeform_tags": {"{{ team }}": "{{ x }}"},
}
VALUES = {"x": 0.1, "hours": "1:00:00", "states": ["SUCCEEDED"], "switch": False, "team": "a", "budget": 60}


async def test_settings_and_keys_are_rendered_in_the_triggerer(local, airflow):
    trigger = rendered(airflow.trigger(**TEMPLATES), **VALUES)
    event = await event_of(trigger)
    assert event.state == "SUCCEEDED"
    (run,) = local.runs
    assert run["freeformTags"]["a"] == "0.1"
    assert run["freeformTags"]["airflow_outlives_task"] == "true"
    waiting = trigger._run_trigger
    assert (waiting.poll_interval, waiting.error_budget, waiting.cancel_on_kill) == (0.1, 60, False)
    assert waiting.target_states == ["SUCCEEDED"]
    assert waiting.deadline == pytest.approx(time.time() + 3600, abs=60)


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", 0), ("hours", "soon"), ("states", "DONE"), ("switch", "yes"), ("budget", "None")],
)
async def test_template_that_renders_to_nothing_usable_is_refused_before_the_submit(
    local, airflow, name, value
):
    event = await event_of(rendered(airflow.trigger(**TEMPLATES), **VALUES | {name: value}))
    argument = next(key for key, template in TEMPLATES.items() if name in template)
    assert event.outcome is Outcome.NOT_SUBMITTED
    assert (event.message or "").startswith(f"{argument}: expected")
    assert local.runs_created == []


async def test_row_of_an_older_version_with_odd_values_does_not_lose_its_run(local, airflow):
    local.keeps_running()
    task = await submitted(airflow.trigger())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    again = airflow.trigger()
    again.settings["wait"] |= {"poll_interval": 0, "error_budget": timedelta(minutes=30)}
    again.settings["submit"] |= {"submit_timeout": None}
    local.succeeds()
    task = await submitted(again)
    waiting = again._run_trigger
    assert (waiting.poll_interval, waiting.error_budget) == (30.0, 1800.0)
    assert [waiting.run_id] == local.runs_created
    task.cancel()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("poll_interval", object()),
        ("display_name", object()),
        ("arguments", ["--day", object()]),
        ("json", {"a": object()}),
    ],
)
def test_what_only_a_worker_can_resolve_is_refused_by_name_when_the_dag_is_parsed(airflow, name, value):
    with pytest.raises(InvalidArgument, match=rf"^{name}\S*: (start_from_trigger|expected)"):
        airflow.operator(**{name: value})


def test_the_row_is_plain_json_whatever_the_arguments_are(local, airflow):
    trigger = airflow.trigger(
        arguments=(Decimal("1.5"), Path("/data"), uuid.UUID(int=1), True),
        configuration=MappingProxyType({"spark.day": date(2026, 1, 2)}),
        poll_interval=timedelta(milliseconds=100),
        max_duration_in_minutes=timedelta(hours=1),
    )
    assert asyncio.run(event_of(trigger)).state == "SUCCEEDED"
    (run,) = local.runs
    assert run["arguments"] == ["1.5", "/data", str(uuid.UUID(int=1)), "true"]
    assert run["configuration"]["spark.day"] == "2026-01-02"
    assert run["maxDurationInMinutes"] == 60
