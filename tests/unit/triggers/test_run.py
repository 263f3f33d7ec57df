from __future__ import annotations

import asyncio
import time

import pytest

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.ownership.task_state import TaskState
from airflow_provider_dataflow.triggers import base
from airflow_provider_dataflow.triggers import run as trigger_module
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.run import RunTrigger
from tests.unit.support import RUN_ID, FakeTaskInstance, run_body


class FakeAsyncClient:
    def __init__(self, *states):
        self.states = list(states)

    async def get_run(self, run_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return Run.from_api(run_body(state))

    async def close(self):
        pass


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(trigger_module, "NO_EVENT_BEFORE", 0)


@pytest.fixture
def service(mocker):
    """Call it with the states that the run goes through."""

    def answers(*states):
        async def make(hook):
            return FakeAsyncClient(*states)

        mocker.patch.object(DataFlowHook, "async_client", make)

    return answers


def trigger(**kwargs) -> RunTrigger:
    return RunTrigger(RUN_ID, **{"poll_interval": 0.01, "cancel_on_kill": True} | kwargs)


async def events(trigger: RunTrigger) -> list[RunEvent]:
    return [RunEvent.parse(event.payload) async for event in trigger.run()]


def test_the_row_survives_the_way_through_the_database_and_other_versions():
    path, kwargs = trigger(deadline=5.0, region="eu-frankfurt-1").serialize()
    assert path == "airflow_provider_dataflow.triggers.run.RunTrigger"
    assert RunTrigger(**kwargs).serialize() == (path, kwargs)
    assert RunTrigger(**kwargs, added_tomorrow=1).serialize() == (path, kwargs)
    assert RunTrigger(run_id=RUN_ID).run_id == RUN_ID


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELED", "STOPPED"])
async def test_one_event_at_the_end_of_the_run(service, state):
    service("ACCEPTED", "HIBERNATING", "IN_PROGRESS", state)
    assert await events(trigger()) == [RunEvent(Outcome.REACHED, RUN_ID, state)]


async def test_no_event_before_the_worker_has_signed_off(service, monkeypatch):
    monkeypatch.setattr(trigger_module, "NO_EVENT_BEFORE", 0.2)
    service("SUCCEEDED")
    start = time.monotonic()
    await events(trigger())
    assert time.monotonic() - start >= 0.2


async def test_the_deadline(service, mocker):
    service("IN_PROGRESS")
    started = asyncio.get_running_loop().time
    mocker.patch.object(trigger_module, "LAST_POLL_SECONDS", 0.05)
    begin = started()
    assert await events(trigger(deadline=time.time() + 0.1)) == [
        RunEvent(Outcome.TIMEOUT, RUN_ID, "IN_PROGRESS")
    ]
    assert started() - begin < 3


async def test_a_line_now_and_then_while_nothing_changes(service, mocker):
    service("IN_PROGRESS")
    mocker.patch.object(trigger_module, "HEARTBEAT_SECONDS", 0.3)
    mocker.patch.object(trigger_module, "LAST_POLL_SECONDS", 1.3)
    log = mocker.patch.object(RunTrigger, "log")
    (event,) = await events(trigger(deadline=0))
    assert event.outcome is Outcome.TIMEOUT
    lines = [call.args[0] % call.args[1:] for call in log.info.call_args_list]
    assert lines == [f"Run {RUN_ID} is IN_PROGRESS", *[f"Run {RUN_ID} is still IN_PROGRESS"] * 4]


async def test_a_run_that_ended_before_anybody_looked_has_ended_in_time(service):
    service("SUCCEEDED")
    assert await events(trigger(deadline=time.time() - 100)) == [
        RunEvent(Outcome.REACHED, RUN_ID, "SUCCEEDED")
    ]


async def test_out_of_sight(service):
    service(ServiceError(operation="GetRun", message="down", status=503))
    (event,) = await events(trigger(error_budget=0.001))
    assert event.outcome is Outcome.LOST
    assert "down" in (event.message or "")


@pytest.fixture
def kill(mocker, client):
    """Kills a deferred trigger as the triggerer does: cancels it again every second."""

    async def kill(trigger, *, state="failed", xcom=RUN_ID, seen=None, slow=0.0, again_every=0.05):
        def now(identity, key):
            time.sleep(slow)
            answer = state.pop(0) if isinstance(state, list) else state
            if isinstance(answer, Exception):
                raise answer
            return TaskState(True, answer, {"run_id": xcom, "lifecycle_state": seen}[key])

        mocker.patch.object(base, "read_task_state", now)
        mocker.patch.object(base.WaitTrigger, "STATE_TIMEOUT_SECONDS", 0.3)
        mocker.patch.object(base.WaitTrigger, "STATE_PAUSE_SECONDS", 0.1)
        trigger.task_instance = FakeTaskInstance()
        task = asyncio.create_task(trigger.on_kill())
        while not task.done():
            await asyncio.sleep(again_every)
            task.cancel("__airflow_user_action__")
        await asyncio.gather(task, return_exceptions=True)
        return client.cancelled

    return kill


@pytest.mark.parametrize(
    ("state", "xcom", "cancelled"),
    [
        ("failed", RUN_ID, True),
        ("success", RUN_ID, True),
        ("skipped", RUN_ID, True),
        ("running", RUN_ID, True),
        (None, None, True),
        ("deferred", "another run: the task was cleared", True),
        ("deferred", RUN_ID, False),
    ],
)
async def test_a_kill_cancels_unless_the_task_still_waits(kill, state, xcom, cancelled):
    assert await kill(trigger(), state=state, xcom=xcom) == ([RUN_ID] if cancelled else [])


async def test_a_kill_cancels_if_nobody_can_say_who_waits(kill, mocker):
    mocker.patch.object(base, "triggers_have_on_kill", return_value=True)
    assert await kill(trigger(), state=RuntimeError("no such dag run")) == [RUN_ID]


async def test_an_older_airflow_that_cannot_be_asked_keeps_its_run(kill, mocker):
    """There, every stop of a triggerer looks like a kill, and its loop ends before the questions do."""
    mocker.patch.object(base, "triggers_have_on_kill", return_value=False)
    assert await kill(trigger(), state=RuntimeError("no such dag run")) == []
    assert await kill(trigger(), state="deferred", slow=30) == []
    assert await kill(trigger(), state="failed") == [RUN_ID]


async def test_airflow_is_asked_again(kill):
    assert await kill(trigger(), state=[RuntimeError("502"), "deferred"]) == []


async def test_a_run_that_its_task_has_left_running_goes_on(kill):
    """Another triggerer has taken the trigger over, and has told the task meanwhile."""
    wants_start = {"target_states": ["IN_PROGRESS"]}
    assert await kill(trigger(**wants_start), state="success", seen="IN_PROGRESS") == []
    # Marked by a person.
    assert await kill(trigger(**wants_start), state="success") == [RUN_ID]


async def test_a_slow_cancel_outlives_being_cancelled_itself(kill):
    assert await kill(trigger(), slow=0.2) == [RUN_ID]


async def test_a_sensors_trigger_never_cancels(kill):
    assert await kill(trigger(cancel_on_kill=False)) == []


async def test_cancelled_error_goes_through(service):
    """Airflow calls on_kill only if it does."""
    service("IN_PROGRESS")
    task = asyncio.create_task(events(trigger()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_older_airflow_has_only_the_cancel_to_go_by(kill, service, mocker):
    mocker.patch.object(compat, "triggers_have_on_kill", return_value=False)
    on_kill = mocker.patch.object(RunTrigger, "on_kill")
    service("IN_PROGRESS")
    task = asyncio.create_task(events(trigger()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    on_kill.assert_awaited_once()


async def test_the_secrets_of_the_run_are_masked_before_its_output_is_copied(mocker):
    """The row has none of them: the service is asked until it says what the run was asked for."""
    events = []

    class Poller:
        async def request(self, call):
            events.append("request")
            return await call(self)

        async def get_run(self, run_id):
            if len(events) < 3:
                raise ServiceError(operation="GetRun", message="busy", status=503)
            return Run.from_api(run_body(arguments=["--token", "MARKED-1"]))

    mask_secret = mocker.patch("airflow_provider_dataflow.arguments.masking.mask_secret")
    hide = await trigger()._mask_secrets(Poller())
    assert hide("as MARKED-1") == "as ***"
    mask_secret.assert_called_once_with("MARKED-1")
    assert len(events) == 3
