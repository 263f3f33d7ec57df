"""Base classes of the triggers that cancel what they wait for when their task is killed."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.client.threads import call_with_timeout, start
from airflow_provider_dataflow.compat import TriggerEvent, kill_looks_like_shutdown, trigger_was_killed
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.task_state import TaskState, prepare_task_state, read_task_state
from airflow_provider_dataflow.triggers.base import PollingTrigger, TaskTrigger
from airflow_provider_dataflow.xcom_keys import DEFERRED_TRIGGER

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sync_client import DataFlowClient

#: Log line of a kill, or stop of the triggerer, that Airflow does not explain. Its argument was awaited.
UNKNOWN_STATE = (
    "%s is not cancelled: it is unknown whether the task was killed, or only this triggerer stops. If the "
    "task has ended, a triggerer cancels it within a minute"
)

#: Raised by a call to Airflow if the event loop that would deliver the response has ended.
CANCELLED = (asyncio.CancelledError, CancelledError)


class CancelOnKillTrigger(TaskTrigger):
    """Base of the triggers that cancel if the task is killed.

    Airflow cancels a killed trigger's coroutine every second, and calls ``on_kill`` after it has written a
    log line. In a busy triggerer that takes longer than a second, and the next cancellation ends the trigger
    before ``on_kill`` is called. So :meth:`run` calls it at the first cancellation.

    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.TaskTrigger`.
    """

    cancel_on_kill: bool = False

    #: Longest run time of ``on_kill``. Airflow ends it 30 seconds after the kill.
    KILL_TIMEOUT_SECONDS: ClassVar[float] = 25.0
    #: Limit for reading the task's state from Airflow, and the pause between two attempts.
    STATE_TIMEOUT_SECONDS: ClassVar[float] = 6.0
    STATE_PAUSE_SECONDS: ClassVar[float] = 1.0

    _has_asked: ClassVar[bool] = False

    # On the class until a kill: from 30 attributes on, an instance takes two kilobytes more.
    _kill: Future[None] | None = None
    _kill_until: float = 0.0

    @abstractmethod
    def cancel_unless_awaited(self) -> None:
        """Cancel what the task waited for, unless the task still waits for it. Blocks, and never raises."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        self.log_replaced_settings()
        if self.cancel_on_kill:
            self._prepare_kill()
        try:
            event = await self.wait()
        except asyncio.CancelledError as error:
            if trigger_was_killed(error):
                await self.on_kill()
            raise
        yield TriggerEvent(event.payload())

    def _prepare_kill(self) -> None:
        """Ask Airflow for the task's state once per process, in a thread, before the answer matters.

        The first question imports much, for which a kill on a busy machine leaves too little time.
        """
        if CancelOnKillTrigger._has_asked or self.task_instance is None:
            return
        CancelOnKillTrigger._has_asked = True
        start(partial(prepare_task_state, TaskIdentity.of(self.task_instance)))

    async def on_kill(self) -> None:
        """Cancel what the task waited for. Airflow and :meth:`run` call it; a second call joins the first."""
        if not self.cancel_on_kill:
            return
        loop = asyncio.get_running_loop()
        if self._kill is None:
            # In a thread: an asyncio task would end with the triggerer's event loop.
            self._kill = start(self.cancel_unless_awaited, urgent=True)
            self._kill_until = loop.time() + self.KILL_TIMEOUT_SECONDS
        kill = asyncio.wrap_future(self._kill)
        while not kill.done() and loop.time() < self._kill_until:
            try:
                await asyncio.wait({kill}, timeout=1)
            except asyncio.CancelledError:
                # Airflow repeats the cancellation every second.
                if (current := asyncio.current_task()) is not None:
                    current.uncancel()

    def task_state(self, xcom_key: str) -> TaskState | None:
        """Return the task's state and one of its XComs; ``None`` if Airflow does not respond. Blocks."""
        if self.task_instance is None:
            return TaskState(exists=False)
        read = partial(read_task_state, TaskIdentity.of(self.task_instance), xcom_key)
        until = time.monotonic() + self.STATE_TIMEOUT_SECONDS
        while True:
            try:
                # A triggerer that is shutting down never responds, so the call needs a timeout.
                return call_with_timeout(max(until - time.monotonic(), 0.1), read)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - any failure means: unknown
                if time.monotonic() + self.STATE_PAUSE_SECONDS >= until or isinstance(error, CANCELLED):
                    self.log.warning("Cannot read the state of the task from Airflow: %r", error)
                    return None
                time.sleep(self.STATE_PAUSE_SECONDS)


class CancelResourceTrigger(CancelOnKillTrigger, PollingTrigger):
    """Base of the triggers that poll one run or statement, and cancel it if the task is killed.

    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    """

    @abstractmethod
    def is_still_awaited(self) -> bool | None:
        """Return whether the task is deferred for this resource; ``None`` if Airflow does not say. Blocks."""

    @abstractmethod
    def cancel(self) -> str:
        """Cancel what the task waited for, and return the outcome in words. Blocks.

        :raises Exception: it could not be cancelled.
        """

    @abstractmethod
    def cancel_leftover(self, client: DataFlowClient, owner: TaskIdentity, deployment: str) -> str | None:
        """Cancel what an ended task waited for, if it still runs. Blocks.

        :param owner: the task.
        :param deployment: name of this Airflow in the tags of its runs.
        :return: the outcome in words; ``None`` if nothing was left to cancel.
        :raises Exception: it could not be cancelled.
        """

    def cancel_unless_awaited(self) -> None:
        try:
            is_awaited = self.is_still_awaited()
            if is_awaited is None and self.keep_if_unknown:
                self.log.warning(UNKNOWN_STATE, self.resource_name)
            elif is_awaited:
                self.log.info(
                    "%s is not cancelled: another trigger of the task waits for it", self.resource_name
                )
            else:
                self.log.info("The task was killed. %s", self.cancel())
        except Exception as error:  # noqa: BLE001 - nothing else would report it
            self.log.error(
                "The task was killed. %s could not be cancelled and may still be running: %s",
                self.resource_name,
                error,
            )

    @property
    def keep_if_unknown(self) -> bool:
        """True if nothing is cancelled when the task's state cannot be read.

        This is the case before Airflow 3.3, where a kill looks like a shutdown of the triggerer. If the
        task was killed, its next try re-attaches to the run.
        """
        return kill_looks_like_shutdown()

    def record(self, push_xcom: Callable[[str, Any], None]) -> None:
        """Store the trigger in the task's XComs, so that the sweep can cancel what the task waits for.

        :param push_xcom: takes key and value.
        """
        if self.cancel_on_kill:
            classpath, kwargs = self.serialize()
            push_xcom(DEFERRED_TRIGGER, {"classpath": classpath, "kwargs": kwargs})
