"""What the triggers of tasks have in common: one wait, one event, and one cancel if the task is killed."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError, Future
from functools import partial

from airflow_provider_dataflow.client.threads import answer_within, start
from airflow_provider_dataflow.compat import (
    BaseTrigger,
    TaskInstanceNow,
    TriggerEvent,
    task_instance_now,
    trigger_was_killed,
    triggers_have_on_kill,
)
from airflow_provider_dataflow.hooks.arguments import UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.ownership.record import TaskIdentity
from airflow_provider_dataflow.triggers.events import Event

#: The loop that would have brought the answer has ended.
CANCELLED = (asyncio.CancelledError, CancelledError)

#: Seconds from the kill. Airflow gives ``on_kill`` 30.
KILL_TIMEOUT = 25


class WaitTrigger(UsesHook, BaseTrigger):
    """Base: waits, tells how that ended, and cancels what it waits for when its task is killed.

    Airflow cancels a killed trigger's coroutine again every second, and calls ``on_kill`` after it has
    written a log line. If that takes longer than a second, as in a busy triggerer, the next cancellation ends
    it all, and ``on_kill`` is never called. So the first cancellation is heeded at once, in ``run``.
    """

    cancel_on_kill: bool = False
    _kill: Future[None] | None = None
    _kill_until = 0.0

    @property
    def hook(self) -> DataFlowHook:
        return self.new_hook()

    @abstractmethod
    async def wait(self) -> Event:
        """Wait, and say how it ended."""

    def cancel_unless_owned(self) -> None:
        """Cancel what the task waits for, unless it still does. Blocks, and never raises."""
        raise NotImplementedError

    #: Seconds for the answer to who waits, and between two attempts to get it.
    ANSWER_TIMEOUT, ANSWER_PAUSE = 6.0, 1.0

    def task_now(self, xcom_key: str) -> TaskInstanceNow | None:
        """The task as Airflow has it, and one of its XComs; ``None`` if it cannot be asked. Blocks."""
        if self.task_instance is None:
            return TaskInstanceNow(exists=False)
        ask = partial(task_instance_now, TaskIdentity.of(self.task_instance), xcom_key)
        until = time.monotonic() + self.ANSWER_TIMEOUT
        while True:
            try:
                # A triggerer that is about to end answers nothing more.
                return answer_within(max(until - time.monotonic(), 0.1), ask)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is
                if time.monotonic() + self.ANSWER_PAUSE >= until or isinstance(error, CANCELLED):
                    self.log.warning("Airflow does not say what became of the task: %r", error)
                    return None
                time.sleep(self.ANSWER_PAUSE)

    @property
    def goes_on_in_doubt(self) -> bool:
        """What to believe if Airflow cannot be asked.

        It has said that the task was killed, if it can say so. Before 3.3 that is a guess, and one that is
        wrong whenever a triggerer is stopped; a run that is left is found by the next try.
        """
        return not triggers_have_on_kill()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            event = await self.wait()
        except asyncio.CancelledError as error:
            if trigger_was_killed(error):
                await self.on_kill()
            raise
        yield TriggerEvent(event.payload())

    async def on_kill(self) -> None:
        """Cancel what the task waits for, unless it still does. Asked twice, it is done once."""
        if not self.cancel_on_kill:
            return
        loop = asyncio.get_running_loop()
        if self._kill is None:
            # No task of the loop: those end with the triggerer.
            self._kill = start(self.cancel_unless_owned, urgent=True)
            self._kill_until = loop.time() + KILL_TIMEOUT
        kill = asyncio.wrap_future(self._kill)
        while not kill.done() and loop.time() < self._kill_until:
            try:
                await asyncio.wait({kill}, timeout=1)
            except asyncio.CancelledError:
                if (current := asyncio.current_task()) is not None:
                    current.uncancel()
