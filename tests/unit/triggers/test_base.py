"""Kills as they come from Airflow's own trigger runner."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.jobs import triggerer_job_runner

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.triggers.base import WaitTrigger

TRIGGER_ID = 7

pytestmark = pytest.mark.skipif(
    not hasattr(triggerer_job_runner, "_USER_ACTION_CANCEL_MSG"), reason="from Airflow 3.3 on"
)


class Waiting(WaitTrigger):
    """Waits for ever; its cancel takes a moment."""

    cancel_on_kill = True

    def __init__(self) -> None:
        super().__init__()
        self.begun = self.cancels = 0

    def serialize(self):
        return "", {}

    async def wait(self):
        await asyncio.Event().wait()

    def cancel_unless_awaited(self):
        self.begun += 1
        time.sleep(0.3)
        self.cancels += 1


async def run(trigger, *, end):
    """Run it as the triggerer does, and end it so."""
    runner = triggerer_job_runner.TriggerRunner()
    runner.triggers[TRIGGER_ID] = {"name": "test", "events": 0}
    task = asyncio.create_task(runner.run_trigger(TRIGGER_ID, trigger))
    runner.triggers[TRIGGER_ID]["task"] = task
    await asyncio.sleep(0.1)
    await end(runner, task)
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.5)


async def kill(runner, task):
    """Again and again, as it is the triggerer's way, only faster."""
    while not task.done():
        runner.to_cancel.append(TRIGGER_ID)
        await runner.cancel_triggers()
        await asyncio.sleep(0.1)


async def stop(runner, task):
    task.cancel()


def test_airflow_says_it_with_this_message():
    assert triggerer_job_runner._USER_ACTION_CANCEL_MSG == compat.KILL_MESSAGE


async def test_a_kill_cancels_once():
    trigger = Waiting()
    await run(trigger, end=kill)
    assert (trigger.begun, trigger.cancels) == (1, 1)


def test_the_cancel_is_seen_through_when_the_triggerer_ends():
    """Its event loop ends by cancelling all that is left in it."""
    trigger = Waiting()

    async def killed_just_before_the_end():
        runner = triggerer_job_runner.TriggerRunner()
        runner.triggers[TRIGGER_ID] = {"name": "test", "events": 0}
        task = asyncio.create_task(runner.run_trigger(TRIGGER_ID, trigger))
        await asyncio.sleep(0.1)
        task.cancel(compat.KILL_MESSAGE)
        await asyncio.sleep(0.1)
        assert trigger.begun

    asyncio.run(killed_just_before_the_end())
    assert trigger.cancels == 1


async def test_a_triggerer_that_stops_cancels_nothing():
    trigger = Waiting()
    await run(trigger, end=stop)
    assert trigger.begun == 0


async def test_a_run_that_is_to_go_on():
    trigger = Waiting()
    trigger.cancel_on_kill = False
    await run(trigger, end=kill)
    assert trigger.begun == 0


async def test_a_kill_is_heard_while_airflow_has_no_thread_left_to_write_its_log():
    """It writes a line before it calls on_kill, and by then the next cancellation has ended that, too."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        loop.set_default_executor(threads)
        trigger = Waiting()

        async def kill_in_a_busy_triggerer(runner, task):
            threads.submit(time.sleep, 2)
            await kill(runner, task)

        await run(trigger, end=kill_in_a_busy_triggerer)
    assert trigger.cancels == 1


async def test_two_who_ask_for_the_cancel_wait_for_the_same():
    trigger = Waiting()
    await asyncio.gather(trigger.on_kill(), trigger.on_kill())
    assert (trigger.begun, trigger.cancels) == (1, 1)


async def test_the_cancel_is_waited_for_no_longer_than_airflow_leaves(monkeypatch):
    monkeypatch.setattr("airflow_provider_dataflow.triggers.base.KILL_TIMEOUT_SECONDS", 0.1)
    trigger = Waiting()
    started = time.monotonic()
    await trigger.on_kill()
    await trigger.on_kill()
    assert time.monotonic() - started < 2
