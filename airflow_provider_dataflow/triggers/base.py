"""Base classes of all triggers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.trigger_settings import TriggerSettingsMixin
from airflow_provider_dataflow.compat import NO_EVENT_BEFORE_SECONDS, BaseTrigger, TriggerEvent
from airflow_provider_dataflow.hooks.arguments import UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, DEFAULT_POLL_INTERVAL
from airflow_provider_dataflow.triggers.events import Event

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_dataflow.models.durations import Duration


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
    """Base of the triggers of deferred tasks: waits, and sends one event.

    :param kwargs: arguments of :class:`DataFlowTrigger`.
    """

    @abstractmethod
    async def wait(self) -> Event:
        """Wait and return the event for the task."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        self.log_replaced_settings()
        event = await self.wait()
        yield TriggerEvent(event.payload())


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

    @property
    @abstractmethod
    def resource_name(self) -> str:
        """Kind and id of what the task waits for, for the log."""
