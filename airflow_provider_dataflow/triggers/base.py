"""Base classes of all triggers."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.trigger_settings import TriggerSettingsMixin
from airflow_provider_dataflow.client.threads import call_with_timeout, start
from airflow_provider_dataflow.compat import (
    NO_EVENT_BEFORE_SECONDS,
    BaseTrigger,
    TriggerEvent,
    kill_looks_like_shutdown,
    trigger_was_killed,
)
from airflow_provider_dataflow.hooks.arguments import UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.task_state import TaskState, prepare_task_state, read_task_state
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, DEFAULT_POLL_INTERVAL
from airflow_provider_dataflow.triggers.events import Event
from airflow_provider_dataflow.xcom_keys import DEFERRED_TRIGGER

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.models.durations import Duration

#: Log line of a kill, or stop of the triggerer, that Airflow does not explain. Its argument was awaited.
UNKNOWN_STATE = (
    "%s is not cancelled: it is unknown whether the task was killed, or only this triggerer stops. If the "
    "task has ended, a triggerer cancels it within a minute"
)

#: Raised by a call to Airflow if the event loop that would deliver the response has ended.
CANCELLED = (asyncio.CancelledError, CancelledError)


class DataFlowTrigger(TriggerSettingsMixin, UsesHook, BaseTrigger):
    """Base of all triggers: reads the hook's arguments, and serializes the trigger to Airflow's database.

    :param oci_conn_id: Airflow connection of type ``oci``.
    :param region: region name. Default: the connection's.
    :param service_endpoint: URL of the service. Default: the connection's, or the region's own.
    :param auth_type: how to sign in. Default: the connection's.
    :param config_file: path of the SDK's configuration file.
    :param profile: section of that file.
    :param unknown: ignored. Workers and triggerers are not upgraded at the same moment, so a row may have
        arguments that only a newer version of the trigger knows.
    :raises InvalidArgument: an argument is invalid. In a triggerer, a default replaces it with a warning.
    """

    serialized_fields: ClassVar[tuple[str, ...]]
    """Arguments of the constructor that are stored, each from the attribute of the same name."""

    airflow_component = "triggerer"

    def __init__(
        self,
        *,
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        self.replaced_settings = ()
        self.oci_conn_id = self.read_setting("oci_conn_id", oci_conn_id)
        self.region = self.read_setting("region", region)
        self.service_endpoint = self.read_setting("service_endpoint", service_endpoint)
        self.auth_type = self.read_setting("auth_type", auth_type)
        self.config_file = self.read_setting("config_file", config_file)
        self.profile = self.read_setting("profile", profile)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.serialized_fields}

    @property
    def hook(self) -> DataFlowHook:
        """A new hook with the trigger's arguments."""
        return self.new_hook()


class TaskTrigger(DataFlowTrigger):
    """Base of the triggers of deferred tasks: waits, sends one event, and cancels if the task is killed.

    Airflow cancels a killed trigger's coroutine every second, and calls ``on_kill`` after it has written a
    log line. In a busy triggerer that takes longer than a second, and the next cancellation ends the trigger
    before ``on_kill`` is called. So :meth:`run` calls it at the first cancellation.

    :param kwargs: arguments of :class:`DataFlowTrigger`.
    """

    cancel_on_kill: bool = False

    #: Longest run time of ``on_kill``. Airflow ends it 30 seconds after the kill.
    KILL_TIMEOUT_SECONDS: ClassVar[float] = 25.0
    #: Limit for reading the task's state from Airflow, and the pause between two attempts.
    STATE_TIMEOUT_SECONDS: ClassVar[float] = 6.0
    STATE_PAUSE_SECONDS: ClassVar[float] = 1.0

    _has_asked: ClassVar[bool] = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kill: Future[None] | None = None
        self._kill_until = 0.0

    @abstractmethod
    async def wait(self) -> Event:
        """Wait and return the event for the task."""

    @property
    def resource_name(self) -> str:
        """Kind and id of what the task waits for, for the log."""
        raise NotImplementedError

    def cancel_unless_awaited(self) -> None:
        """Cancel what the task waited for, unless the task still waits for it. Blocks, and never raises."""
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

    def is_still_awaited(self) -> bool | None:
        """Return whether the task is deferred for this resource; ``None`` if Airflow does not say. Blocks."""
        raise NotImplementedError

    def cancel(self) -> str:
        """Cancel what the task waited for, and return the outcome in words. Blocks.

        :raises Exception: it could not be cancelled.
        """
        raise NotImplementedError

    def cancel_leftover(self, client: DataFlowClient, owner: TaskIdentity, deployment: str) -> str | None:
        """Cancel what an ended task waited for, if it still runs. Blocks.

        :param owner: the task.
        :param deployment: name of this Airflow in the tags of its runs.
        :return: the outcome in words; ``None`` if nothing was left to cancel.
        :raises Exception: it could not be cancelled.
        """
        raise NotImplementedError

    def record(self, push_xcom: Callable[[str, Any], None]) -> None:
        """Store the trigger in the task's XComs, so that the sweep can cancel what the task waits for.

        :param push_xcom: takes key and value.
        """
        if self.cancel_on_kill:
            classpath, kwargs = self.serialize()
            push_xcom(DEFERRED_TRIGGER, {"classpath": classpath, "kwargs": kwargs})

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
        if TaskTrigger._has_asked or self.task_instance is None:
            return
        TaskTrigger._has_asked = True
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

    @property
    def keep_if_unknown(self) -> bool:
        """True if nothing is cancelled when the task's state cannot be read.

        This is the case before Airflow 3.3, where a kill looks like a shutdown of the triggerer. If the
        task was killed, its next try re-attaches to the run.
        """
        return kill_looks_like_shutdown()


class PollingTrigger(TaskTrigger):
    """Base of the triggers that poll the service until a run, pool or statement reaches a state.

    :param poll_interval: maximum seconds (or a timedelta) between two polls. The event is sent at most this
        long, and a second, after the state is reached, as long as the requests of all triggers of the
        connection fit under ``[oci_data_flow] max_requests_per_second``.
    :param deadline: seconds since the epoch, or a datetime, at which to give up. Default: never.
    :param error_budget: seconds (or a timedelta) for which service errors are retried.
    :param kwargs: arguments of :class:`DataFlowTrigger`.
    """

    #: Shortest time from the start of the trigger to its event; see ``compat``.
    NO_EVENT_BEFORE_SECONDS: ClassVar[float] = NO_EVENT_BEFORE_SECONDS

    def __init__(
        self,
        *,
        poll_interval: Duration = DEFAULT_POLL_INTERVAL,
        deadline: float | datetime | None = None,
        error_budget: Duration = DEFAULT_ERROR_BUDGET,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.poll_interval: float = self.read_setting("poll_interval", poll_interval)
        self.deadline: float | None = self.read_setting("deadline", deadline)
        self.error_budget: float = self.read_setting("error_budget", error_budget)
