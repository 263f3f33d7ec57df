from __future__ import annotations

import asyncio
import time

import pytest

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.ownership.task_state import TaskState
from airflow_provider_dataflow.triggers import cancel_on_kill
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
def no_delay(monkeypatch):
    monkeypatch.setattr(RunTrigger, "NO_EVENT_BEFORE_SECONDS", 0)


@pytest.fixture
def service(mocker):
    """Function that sets the states of the run."""

    def respond(*states):
        async def make(hook):
            return FakeAsyncClient(*states)

        mocker.patch.object(DataFlowHook, "async_client", make)

    return respond


def trigger(**kwargs) -> RunTrigger:
    return RunTrigger(RUN_ID, **{"poll_interval": 0.01, "cancel_on_kill": True} | kwargs)


async def events(trigger: RunTrigger) -> list[RunEvent]:
    return [RunEvent.parse(event.payload) async for event in trigger.run()]


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELED", "STOPPED"])
async def test_end_of_run_sends_one_event(service, state):
    service("ACCEPTED", "HIBERNATING", "IN_PROGRESS", state)
    assert await events(trigger()) == [RunEvent(Outcome.REACHED, RUN_ID, state)]


async def test_first_event_waits_for_the_end_of_the_worker(service, monkeypatch):
    monkeypatch.setattr(RunTrigger, "NO_EVENT_BEFORE_SECONDS", 0.2)
    service("SUCCEEDED")
    start = time.monotonic()
    await events(trigger())
    assert time.monotonic() - start >= 0.2


async def test_deadline_ends_the_wait(service, mocker):
    service("IN_PROGRESS")
    clock = asyncio.get_running_loop().time
    mocker.patch.object(RunTrigger, "FIRST_POLL_SECONDS", 0.05)
    begin = clock()
    assert await events(trigger(deadline=time.time() + 0.1)) == [
        RunEvent(Outcome.TIMEOUT, RUN_ID, "IN_PROGRESS")
    ]
    assert clock() - begin < 3


async def test_heartbeat_is_logged_while_the_state_does_not_change(service, mocker):
    service("IN_PROGRESS")
    mocker.patch.object(RunTrigger, "HEARTBEAT_SECONDS", 0.3)
    mocker.patch.object(RunTrigger, "FIRST_POLL_SECONDS", 1.3)
    log = mocker.patch.object(RunTrigger, "log")
    (event,) = await events(trigger(deadline=0))
    assert event.outcome is Outcome.TIMEOUT
    lines = [call.args[0] % call.args[1:] for call in log.info.call_args_list]
    assert lines == [f"Run {RUN_ID} is IN_PROGRESS", *[f"Run {RUN_ID} is still IN_PROGRESS"] * 4]


async def test_run_that_ended_before_the_first_poll_is_not_late(service):
    service("SUCCEEDED")
    assert await events(trigger(deadline=time.time() - 100)) == [
        RunEvent(Outcome.REACHED, RUN_ID, "SUCCEEDED")
    ]


async def test_used_up_error_budget_loses_the_run(service):
    service(ServiceError(operation="GetRun", message="down", status=503))
    (event,) = await events(trigger(error_budget=0.001))
    assert event.outcome is Outcome.LOST
    assert "down" in (event.message or "")


@pytest.fixture
def kill(mocker, client):
    """Function that kills a deferred trigger like the triggerer, which repeats the cancellation."""

    async def kill(trigger, *, state="failed", xcom=RUN_ID, last_state=None, slow=0.0):
        def read_task_state(identity, key):
            time.sleep(slow)
            current = state.pop(0) if isinstance(state, list) else state
            if isinstance(current, Exception):
                raise current
            return TaskState(True, current, {"run_id": xcom, "lifecycle_state": last_state}[key])

        mocker.patch.object(cancel_on_kill, "read_task_state", read_task_state)
        mocker.patch.object(cancel_on_kill.CancelOnKillTrigger, "STATE_TIMEOUT_SECONDS", 0.3)
        mocker.patch.object(cancel_on_kill.CancelOnKillTrigger, "STATE_PAUSE_SECONDS", 0.1)
        trigger.task_instance = FakeTaskInstance()
        task = asyncio.create_task(trigger.on_kill())
        while not task.done():
            await asyncio.sleep(0.05)
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
async def test_kill_cancels_run_unless_the_task_waits_for_it(kill, state, xcom, cancelled):
    assert await kill(trigger(), state=state, xcom=xcom) == ([RUN_ID] if cancelled else [])


async def test_kill_cancels_run_if_the_task_state_is_unknown(kill, mocker):
    mocker.patch.object(cancel_on_kill, "kill_looks_like_shutdown", return_value=False)
    assert await kill(trigger(), state=RuntimeError("no such dag run")) == [RUN_ID]


async def test_run_is_kept_if_the_task_state_is_unknown_and_a_kill_looks_like_a_shutdown(
    kill, mocker, capsys
):
    """So before Airflow 3.3, where the event loop of a stopping triggerer ends before Airflow responds."""
    mocker.patch.object(cancel_on_kill, "kill_looks_like_shutdown", return_value=True)
    assert await kill(trigger(), state=RuntimeError("no such dag run")) == []
    log = capsys.readouterr().out
    assert "it is unknown whether the task was killed" in log
    assert "another trigger of the task waits for it" not in log
    assert await kill(trigger(), state="deferred", slow=30) == []
    assert await kill(trigger(), state="failed") == [RUN_ID]


async def test_task_state_is_read_again_after_an_error(kill):
    assert await kill(trigger(), state=[RuntimeError("502"), "deferred"]) == []


async def test_run_is_kept_if_its_task_succeeded_while_it_is_active(kill):
    """Another triggerer took the trigger over and sent the event."""
    wants_start = {"target_states": ["IN_PROGRESS"]}
    assert await kill(trigger(**wants_start), state="success", last_state="IN_PROGRESS") == []
    # A user marked the task as successful.
    assert await kill(trigger(**wants_start), state="success") == [RUN_ID]


async def test_slow_cancel_survives_repeated_cancellation(kill):
    assert await kill(trigger(), slow=0.2) == [RUN_ID]


async def test_kill_without_cancel_on_kill_cancels_nothing(kill):
    assert await kill(trigger(cancel_on_kill=False)) == []


async def test_cancelled_error_is_raised_again(service):
    """Airflow calls on_kill only then."""
    service("IN_PROGRESS")
    task = asyncio.create_task(events(trigger()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_trigger_calls_on_kill_if_airflow_does_not(kill, service, mocker):
    mocker.patch.object(compat, "triggers_have_on_kill", return_value=False)
    on_kill = mocker.patch.object(RunTrigger, "on_kill")
    service("IN_PROGRESS")
    task = asyncio.create_task(events(trigger()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    on_kill.assert_awaited_once()


async def test_secrets_of_the_run_are_masked_before_its_output_is_copied(mocker):
    """They come from the service, since the row has ids only. GetRun is repeated until it succeeds."""
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
