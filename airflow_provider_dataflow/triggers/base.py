"""What the triggers of tasks have in common: one wait, one event, and one cancel if the task is killed."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from concurrent.futures import Future

from airflow_provider_dataflow.client.threads import start
from airflow_provider_dataflow.compat import BaseTrigger, TriggerEvent, trigger_was_killed
from airflow_provider_dataflow.events import Event
from airflow_provider_dataflow.hooks.arguments import UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook

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
            self._kill = start(self.cancel_unless_owned)
            self._kill_until = loop.time() + KILL_TIMEOUT
        kill = asyncio.wrap_future(self._kill)
        while not kill.done() and loop.time() < self._kill_until:
            try:
                await asyncio.wait({kill}, timeout=1)
            except asyncio.CancelledError:
                if (current := asyncio.current_task()) is not None:
                    current.uncancel()
