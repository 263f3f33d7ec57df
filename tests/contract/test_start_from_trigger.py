"""Tasks that start in the triggerer: SubmitRunTrigger with the real clients, without a running Airflow.

The class ``Airflow`` stands for Airflow's part: the row, rendering, the task instance and XComs.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, NotSubmitted
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership import record_store
from airflow_provider_dataflow.ownership.acquire import RunAcquirer
from airflow_provider_dataflow.ownership.acquire_settings import AcquirePauses
from airflow_provider_dataflow.ownership.task_state import TaskState
from airflow_provider_dataflow.triggers import cancel_on_kill, live_log
from airflow_provider_dataflow.triggers import submit as submit_trigger
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.submit import SubmitRunTrigger
from tests.contract.conftest import poll_at_once, target_of
from tests.unit.support import FakeTaskInstance


@pytest.fixture
def local(scripted: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    poll_at_once(monkeypatch)
    return scripted


class Airflow:
    """Fake of the parts of Airflow that the trigger uses."""

    def __init__(self, local: DataFlowFixture, mocker: Any) -> None:
        self.application_id = target_of(local).create_application("hello.py").id
        self.xcoms: dict[str, Any] = {}
        self.state = "deferred"
        self.new_try()
        for module in (submit_trigger, record_store):
            mocker.patch.object(module, "push_xcom", lambda task, key, value: self._push(key, value))
        mocker.patch.object(record_store, "pull_xcom", lambda task, key: self.xcoms.get(key))
        mocker.patch.object(
            cancel_on_kill,
            "read_task_state",
            lambda task, key: TaskState(True, self.state, self.xcoms.get(key)),
        )

    def _push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def new_try(self, try_number: int = 1) -> None:
        """Begin a retry, or the first try after a clear. Both change the id and keep the XComs."""
        self.ti = FakeTaskInstance(id=uuid.uuid4(), try_number=try_number)

    def operator(self, **kwargs: Any) -> InvokeRunOperator:
        arguments: dict[str, Any] = {"application_id": self.application_id, "poll_interval": 0.1}
        arguments["fetch_logs"] = "never"
        return InvokeRunOperator(task_id="task", start_from_trigger=True, **arguments | kwargs)

    def trigger(self, **kwargs: Any) -> SubmitRunTrigger:
        """Return the trigger as the triggerer creates it from its row."""
        operator = self.operator(**kwargs)
        assert operator.start_from_trigger
        assert operator.start_trigger_args is not None
        row = json.loads(json.dumps(operator.start_trigger_args.trigger_kwargs))
        trigger = SubmitRunTrigger(**row)
        assert SubmitRunTrigger(**trigger.serialize()[1]).serialize() == trigger.serialize()
        trigger.task_instance = self.ti
        return trigger


def new_id() -> uuid.UUID:
    """Return a UUID of version 7, as Airflow gives to each try."""
    bits = (int(time.time() * 1000) << 80) | (uuid.uuid4().int & (1 << 80) - 1)
    return uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


@pytest.fixture
def airflow(local: DataFlowFixture, mocker: Any) -> Airflow:
    return Airflow(local, mocker)


async def event_of(trigger: SubmitRunTrigger) -> RunEvent:
    async with asyncio.timeout(30):
        (event,) = [RunEvent.parse(event.payload) async for event in trigger.run()]
    return event


async def start(trigger: SubmitRunTrigger) -> asyncio.Task[RunEvent]:
    """Start the trigger and return when it has submitted its run."""
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(30):
        while trigger._run_trigger is None:  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    return task


async def start_without_response(
    local: DataFlowFixture, airflow: Airflow, mocker: Any
) -> tuple[asyncio.Task[RunEvent], SubmitRunTrigger]:
    """Start a trigger whose submit has created a run but got no response. Return before the next submit."""
    local.keeps_running()
    local.add_fault("lost_response", operation="CreateRun")
    mocker.patch.object(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))
    trigger = airflow.trigger(error_budget=600)
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(60):
        while trigger._acquirer is None or trigger._submit is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    local.clear_faults()
    return task, trigger


async def kill(task: asyncio.Task[RunEvent], trigger: SubmitRunTrigger) -> None:
    """Kill the trigger like the triggerer."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await trigger.on_kill()


def test_trigger_submits_a_tagged_run_and_waits(local, airflow):
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


async def test_restarted_triggerer_reattaches_to_the_run(local, airflow):
    local.keeps_running()
    task = await start(airflow.trigger())
    task.cancel()  # a restart: on_kill is not called
    await asyncio.gather(task, return_exceptions=True)
    again = airflow.trigger()
    task = await start(again)
    assert again._run_trigger.run_id == local.runs_created[0]
    assert len(local.runs_created) == 1
    assert local.cancels == []
    task.cancel()


async def test_no_missing_xcom_is_read(local, airflow, mocker):
    """Airflow logs an error for a missing XCom in the triggerer's log."""
    airflow.ti.id = new_id()
    for module in (record_store, live_log):
        # A KeyError means that the XCom is missing.
        mocker.patch.object(module, "pull_xcom", lambda task, key: airflow.xcoms[key])
    mocker.patch.object(live_log, "push_xcom", lambda task, key, value: airflow._push(key, value))
    debug = mocker.patch.object(SubmitRunTrigger, "log").debug
    local.keeps_running()
    task = await start(airflow.trigger(fetch_logs="always", completion_timeout=600))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.xcoms["log_cursor"] = {"spark_application_stdout.log.gz": 7}

    # A restart within seconds looks like the first start.
    again = await start(airflow.trigger(fetch_logs="always", completion_timeout=600))
    run_ids = {entry["resource_id"] for entry in local.journal("CreateRun")}
    assert run_ids == {airflow.xcoms["run_id"]}, "the same token leads to the same run"
    local.end_run(airflow.xcoms["run_id"])
    assert (await again).outcome == "reached"
    debug.assert_not_called()


async def test_crashed_trigger_of_a_cleared_task_is_not_replaced_by_one_for_the_old_run(local, airflow):
    local.keeps_running()
    task = await start(airflow.trigger())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (old,) = local.runs_created
    resume = partial(airflow.operator().resume_execution, "__fail__", {"error": "Trigger failure"})

    airflow.ti.xcoms = airflow.xcoms
    for failures in (1, 2):
        with pytest.raises(TaskDeferred) as caught:
            resume({"ti": airflow.ti})
        assert caught.value.trigger.run_id == old
        assert airflow.xcoms["trigger_failures"] == {old: failures}

    airflow.new_try()
    airflow.ti.xcoms = airflow.xcoms
    with pytest.raises(DataFlowError, match="the submit of the run"):
        resume({"ti": airflow.ti})


async def test_submit_whose_run_id_was_not_recorded_is_repeated(local, airflow):
    local.keeps_running()
    task = await start(airflow.trigger())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.xcoms["oci_data_flow_submission"].pop("run_id")
    again = airflow.trigger()
    task = await start(again)
    assert [again._run_trigger.run_id] == local.runs_created
    task.cancel()


@pytest.mark.parametrize("try_number", [1, 2])
async def test_next_try_cancels_the_earlier_run_and_submits_another(local, airflow, try_number):
    local.keeps_running()
    task = await start(airflow.trigger())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.new_try(try_number)
    local.succeeds()
    event = await event_of(airflow.trigger())
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED", "SUCCEEDED"]
    assert event.run_id == local.runs_created[1]


async def test_kill_cancels_the_run(local, airflow):
    local.keeps_running()
    trigger = airflow.trigger()
    task = await start(trigger)
    airflow.state = "failed"
    await kill(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


async def test_kill_during_the_submit_cancels_its_run(local, airflow):
    local.keeps_running()
    local.add_fault("slow", operation="CreateRun", seconds=1)
    trigger = airflow.trigger()
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(10):
        while not local.runs_created:  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    airflow.state = "failed"
    await kill(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


async def test_kill_after_a_submit_without_response_cancels_its_run(local, airflow, mocker):
    task, trigger = await start_without_response(local, airflow, mocker)
    airflow.state = "failed"
    await kill(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


async def test_triggerer_that_lost_its_task_keeps_the_run_of_a_submit_without_response(
    local, airflow, mocker
):
    task, trigger = await start_without_response(local, airflow, mocker)
    await kill(task, trigger)  # the task is still deferred, in another triggerer
    assert [run["lifecycleState"] for run in local.runs] == ["IN_PROGRESS"]


async def test_kill_finds_the_run_if_its_xcoms_could_not_be_pushed(local, airflow, mocker):
    local.keeps_running()
    trigger = airflow.trigger()
    push = submit_trigger.push_xcom

    def refused(task, key, value):
        if key == "run_id":
            raise RuntimeError("the API server is down")
        push(task, key, value)

    mocker.patch.object(submit_trigger, "push_xcom", refused)
    task = asyncio.create_task(event_of(trigger))
    async with asyncio.timeout(30):
        while trigger._run is None:  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    airflow.state = "failed"
    await kill(task, trigger)
    assert [run["lifecycleState"] for run in local.runs] == ["CANCELED"]


def test_row_of_another_version_is_read(local, airflow):
    trigger = airflow.trigger()
    trigger.settings["submit"]["added_tomorrow"] = True
    del trigger.settings["submit"]["private_endpoint_guard"]
    assert asyncio.run(event_of(trigger)).state == "SUCCEEDED"


async def test_rejected_submit_fails_the_task_with_the_reason(local, airflow):
    local.add_fault("status", status=400, operation="CreateRun")
    event = await event_of(airflow.trigger())
    assert event.outcome is Outcome.NOT_SUBMITTED
    with pytest.raises(NotSubmitted, match="400 InvalidParameter"):
        airflow.operator().execute_complete({"ti": FakeTaskInstance()}, event.payload())


async def test_triggerer_waits_for_capacity(local, airflow, mocker):
    mocker.patch.object(RunAcquirer, "pauses", AcquirePauses(capacity_min=0.3))
    fault = local.add_fault("limit_exceeded", limit=0)
    task = asyncio.create_task(event_of(airflow.trigger()))
    async with asyncio.timeout(10):
        while not local.journal("CreateRun"):  # noqa: ASYNC110 - the service has no event
            await asyncio.sleep(0.02)
    local.clear_faults(fault)
    assert (await task).state == "SUCCEEDED"


async def test_timeout_counts_from_the_submit_also_after_a_restart(local, airflow):
    local.keeps_running()
    trigger = airflow.trigger(completion_timeout=3600)
    task = await start(trigger)
    first = trigger._run_trigger.deadline
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    airflow.xcoms["oci_data_flow_submission"]["time"] -= 1800
    again = airflow.trigger(completion_timeout=3600)
    task = await start(again)
    assert again._run_trigger.deadline == pytest.approx(first - 1800, abs=5)
    task.cancel()


async def test_existing_run_is_not_submitted_again(local, airflow):
    run_id = target_of(local).submit(airflow.application_id).id
    event = await event_of(airflow.trigger(application_id=None, run_id=run_id))
    assert (event.run_id, event.state) == (run_id, "SUCCEEDED")
    assert local.runs_created == [run_id]


def test_wait_for_completion_is_required(airflow):
    with pytest.raises(InvalidArgument, match="start_from_trigger"):
        airflow.operator(wait_for_completion=False)


def rendered(trigger: SubmitRunTrigger, **context: Any) -> SubmitRunTrigger:
    """Render the trigger's templates, like Airflow before it runs the trigger."""
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


async def test_settings_and_keys_of_dicts_are_rendered_in_the_triggerer(local, airflow):
    trigger = rendered(airflow.trigger(**TEMPLATES), **VALUES)
    event = await event_of(trigger)
    assert event.state == "SUCCEEDED"
    (run,) = local.runs
    assert run["freeformTags"]["a"] == "0.1"
    assert run["freeformTags"]["airflow_outlives_task"] == "true"
    run_trigger = trigger._run_trigger
    assert (run_trigger.poll_interval, run_trigger.error_budget, run_trigger.cancel_on_kill) == (
        0.1,
        60,
        False,
    )
    assert run_trigger.target_states == ["SUCCEEDED"]
    assert run_trigger.deadline == pytest.approx(time.time() + 3600, abs=60)


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", 0), ("hours", "soon"), ("states", "DONE"), ("switch", "yes"), ("budget", "None")],
)
async def test_unusable_rendered_setting_is_refused_before_the_submit(local, airflow, name, value):
    event = await event_of(rendered(airflow.trigger(**TEMPLATES), **VALUES | {name: value}))
    argument = next(key for key, template in TEMPLATES.items() if name in template)
    assert event.outcome is Outcome.NOT_SUBMITTED
    assert (event.message or "").startswith(f"{argument}: expected")
    assert local.runs_created == []


async def test_unusable_setting_in_a_row_is_replaced_once_there_is_a_run(local, airflow):
    local.keeps_running()
    task = await start(airflow.trigger())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    again = airflow.trigger()
    again.settings["wait"] |= {"poll_interval": 0, "error_budget": timedelta(minutes=30)}
    again.settings["submit"] |= {"submit_timeout": None}
    local.succeeds()
    task = await start(again)
    run_trigger = again._run_trigger
    assert (run_trigger.poll_interval, run_trigger.error_budget) == (30.0, 1800.0)
    assert [run_trigger.run_id] == local.runs_created
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
def test_value_that_only_a_worker_can_resolve_is_refused_by_name_at_parse(airflow, name, value):
    with pytest.raises(InvalidArgument, match=rf"^{name}\S*: (start_from_trigger|expected)"):
        airflow.operator(**{name: value})


def test_row_is_plain_json_for_arguments_of_any_type(local, airflow):
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


async def test_submits_and_polls_share_the_rate_limit_of_the_connection(local, airflow, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__MAX_REQUESTS_PER_SECOND", "20")
    triggers = []
    began = time.monotonic()
    for _ in range(6):
        airflow.new_try()
        airflow.xcoms.clear()
        triggers.append(airflow.trigger())
        await event_of(triggers[-1])
    seconds = time.monotonic() - began
    requests = len(local.journal("CreateRun")) + len(local.journal("GetRun"))
    assert requests >= 7
    assert seconds >= (requests - 1) / 20
