"""Base of the triggers of tasks: wait, send one event, and cancel if the task is killed."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError, Future
from functools import partial

from airflow_provider_dataflow.arguments.trigger_row import ReadsRow
from airflow_provider_dataflow.client.threads import answer_within, start
from airflow_provider_dataflow.compat import (
    BaseTrigger,
    TriggerEvent,
    trigger_was_killed,
    triggers_have_on_kill,
)
from airflow_provider_dataflow.hooks.arguments import UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.task_state import TaskState, read_task_state
from airflow_provider_dataflow.triggers.events import Event

#: Raised by a question to Airflow if the event loop that would deliver the answer has ended.
CANCELLED = (asyncio.CancelledError, CancelledError)

#: Airflow gives ``on_kill`` 30 seconds from the kill.
KILL_TIMEOUT_SECONDS = 25


class WaitTrigger(ReadsRow, UsesHook, BaseTrigger):
    """Base: waits, sends an event, and cancels what it waits for when its task is killed.

    Airflow cancels a killed trigger's coroutine again every second, and calls ``on_kill`` after writing a log
    line. If that takes longer than a second, as in a busy triggerer, the next cancellation ends the trigger
    and ``on_kill`` is never called. So :meth:`run` calls it at the first cancellation.
    """

    cancel_on_kill: bool = False
    _part = "triggerer"
    _kill: Future[None] | None = None
    _kill_until: float = 0.0

    @property
    def hook(self) -> DataFlowHook:
        return self.new_hook()

    @abstractmethod
    async def wait(self) -> Event:
        """Wait and return the event for the task."""

    def cancel_unless_awaited(self) -> None:
        """Cancel what the task waited for, unless it still waits for it. Blocks, and never raises."""
        raise NotImplementedError

    #: Limit for reading the task's state from Airflow, and the pause between two attempts.
    STATE_TIMEOUT_SECONDS, STATE_PAUSE_SECONDS = 6.0, 1.0

    def task_state(self, xcom_key: str) -> TaskState | None:
        """Return the task's state and one of its XComs; ``None`` if Airflow does not answer. Blocks."""
        if self.task_instance is None:
            return TaskState(exists=False)
        ask = partial(read_task_state, TaskIdentity.of(self.task_instance), xcom_key)
        until = time.monotonic() + self.STATE_TIMEOUT_SECONDS
        while True:
            try:
                # A triggerer that is shutting down does not answer.
                return answer_within(max(until - time.monotonic(), 0.1), ask)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - any failure means: unknown
                if time.monotonic() + self.STATE_PAUSE_SECONDS >= until or isinstance(error, CANCELLED):
                    self.log.warning("Cannot read the state of the task from Airflow: %r", error)
                    return None
                time.sleep(self.STATE_PAUSE_SECONDS)

    @property
    def keep_if_unknown(self) -> bool:
        """Whether to cancel nothing if the task's state cannot be read.

        True before Airflow 3.3, where a kill looks like a shutdown of the triggerer. The next try re-attaches
        to a run that is kept.
        """
        return not triggers_have_on_kill()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        self.warn_of_replaced()
        try:
            event = await self.wait()
        except asyncio.CancelledError as error:
            if trigger_was_killed(error):
                await self.on_kill()
            raise
        yield TriggerEvent(event.payload())

    async def on_kill(self) -> None:
        """Cancel what the task waited for, unless it still waits for it. A second call does not repeat it."""
        if not self.cancel_on_kill:
            return
        loop = asyncio.get_running_loop()
        if self._kill is None:
            # In a thread: a task of the event loop would end with the triggerer.
            self._kill = start(self.cancel_unless_awaited, urgent=True)
            self._kill_until = loop.time() + KILL_TIMEOUT_SECONDS
        kill = asyncio.wrap_future(self._kill)
        while not kill.done() and loop.time() < self._kill_until:
            try:
                await asyncio.wait({kill}, timeout=1)
            except asyncio.CancelledError:
                if (current := asyncio.current_task()) is not None:
                    current.uncancel()
