"""Kills of a trigger by Airflow's own trigger runner."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.jobs import triggerer_job_runner

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.ownership import task_state
from airflow_provider_dataflow.triggers.cancel_on_kill import CancelOnKillTrigger
from tests.unit.support import FakeTaskInstance

TRIGGER_ID = 7

pytestmark = pytest.mark.skipif(
    not hasattr(triggerer_job_runner, "_USER_ACTION_CANCEL_MSG"), reason="needs Airflow 3.3"
)


class EndlessTrigger(CancelOnKillTrigger):
    """Waits forever. Its cancel takes 0.3 seconds."""

    cancel_on_kill = True

    def __init__(self) -> None:
        super().__init__()
        self.begun_cancels = self.finished_cancels = 0

    async def wait(self):
        await asyncio.Event().wait()

    def cancel_unless_awaited(self):
        self.begun_cancels += 1
        time.sleep(0.3)
        self.finished_cancels += 1


async def run(trigger, *, end):
    """Run the trigger like a triggerer.

    :param end: ends it, by a kill or by the stop of the triggerer.
    """
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
    """Cancel the trigger repeatedly, like the triggerer but faster."""
    while not task.done():
        runner.to_cancel.append(TRIGGER_ID)
        await runner.cancel_triggers()
        await asyncio.sleep(0.1)


async def stop(runner, task):
    """Cancel the trigger like a triggerer that stops."""
    task.cancel()


async def test_kill_cancels_once():
    trigger = EndlessTrigger()
    await run(trigger, end=kill)
    assert (trigger.begun_cancels, trigger.finished_cancels) == (1, 1)


def test_cancel_is_finished_when_the_triggerer_ends():
    """Its event loop ends by cancelling all of its tasks."""
    trigger = EndlessTrigger()

    async def kill_just_before_the_end():
        runner = triggerer_job_runner.TriggerRunner()
        runner.triggers[TRIGGER_ID] = {"name": "test", "events": 0}
        task = asyncio.create_task(runner.run_trigger(TRIGGER_ID, trigger))
        await asyncio.sleep(0.1)
        task.cancel(compat.KILL_MESSAGE)
        await asyncio.sleep(0.1)
        assert trigger.begun_cancels

    asyncio.run(kill_just_before_the_end())
    assert trigger.finished_cancels == 1


async def test_stopping_triggerer_cancels_nothing():
    trigger = EndlessTrigger()
    await run(trigger, end=stop)
    assert trigger.begun_cancels == 0


async def test_kill_without_cancel_on_kill_cancels_nothing():
    trigger = EndlessTrigger()
    trigger.cancel_on_kill = False
    await run(trigger, end=kill)
    assert trigger.begun_cancels == 0


async def test_kill_cancels_while_airflow_has_no_thread_to_write_its_log_line():
    """Airflow writes the line before it calls on_kill. Meanwhile the next cancellation ends the trigger."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        loop.set_default_executor(threads)
        trigger = EndlessTrigger()

        async def kill_in_a_busy_triggerer(runner, task):
            threads.submit(time.sleep, 2)
            await kill(runner, task)

        await run(trigger, end=kill_in_a_busy_triggerer)
    assert trigger.finished_cancels == 1


async def test_second_kill_joins_the_first():
    trigger = EndlessTrigger()
    await asyncio.gather(trigger.on_kill(), trigger.on_kill())
    assert (trigger.begun_cancels, trigger.finished_cancels) == (1, 1)


async def test_on_kill_ends_at_its_timeout(monkeypatch):
    monkeypatch.setattr(CancelOnKillTrigger, "KILL_TIMEOUT_SECONDS", 0.1)
    trigger, released = EndlessTrigger(), threading.Event()
    monkeypatch.setattr(time, "sleep", lambda _: released.wait(60))
    try:
        async with asyncio.timeout(30):
            await trigger.on_kill()
            await trigger.on_kill()
        assert (trigger.begun_cancels, trigger.finished_cancels) == (1, 0)
    finally:
        released.set()


async def started(trigger):
    """Let a trigger run for a moment, and stop it."""
    trigger.task_instance = FakeTaskInstance()
    running = asyncio.ensure_future(anext(trigger.run()))
    await asyncio.sleep(0.1)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_airflow_is_asked_once_before_any_kill(mocker):
    """The first question imports much, for which a kill leaves too little time on a busy machine."""
    mocker.patch.object(CancelOnKillTrigger, "_has_asked", False)
    asked, threads = threading.Event(), []

    def read_task_state(identity):
        threads.append(threading.get_ident())
        asked.set()

    mocker.patch.object(task_state, "read_task_state", read_task_state)
    for _ in range(3):
        await started(EndlessTrigger())
    assert asked.wait(30)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_failed_question_in_advance_harms_nothing(mocker):
    mocker.patch.object(CancelOnKillTrigger, "_has_asked", False)
    mocker.patch.object(task_state, "read_task_state", side_effect=RuntimeError("no supervisor"))
    await started(EndlessTrigger())
