"""What the triggers have in common that wait for something else than a run."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.client.threads import module
from airflow_provider_dataflow.compat import NO_EVENT_BEFORE
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, DEFAULT_POLL_INTERVAL
from airflow_provider_dataflow.triggers.base import WaitTrigger
from airflow_provider_dataflow.triggers.events import Event, Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.wait_for_resource import Watch
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.resource import Resource


class WatchTrigger(WaitTrigger):
    """Base: looks at something until a state is reached. The row in Airflow's database holds ids only.

    :param oci_conn_id: Airflow connection.
    :param region: region name; default: the connection's.
    :param service_endpoint: URL of the service; default: the connection's, or the region's own.
    :param auth_type: how to sign in; default: as the connection says.
    :param config_file: path of the SDK's configuration file.
    :param profile: section of that file.
    :param poll_interval: seconds (or a timedelta) between two polls.
    :param deadline: seconds since the epoch, or a datetime, at which to give up; default: never.
    :param error_budget: seconds (or a timedelta) for which service errors are retried.
    """

    #: Beside those of this class: what the row holds.
    arguments: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        poll_interval: Duration = DEFAULT_POLL_INTERVAL,
        deadline: float | datetime | None = None,
        error_budget: Duration = DEFAULT_ERROR_BUDGET,
        **_: Any,
    ) -> None:
        # What a newer version of this class has written into the row is ignored, not refused.
        given = dict(locals())
        super().__init__()
        self.keep_hook_arguments(self.hook_settings(given))
        self.poll_interval: float = self.setting("poll_interval", poll_interval)
        self.deadline: float | None = self.setting("deadline", deadline)
        self.error_budget: float = self.setting("error_budget", error_budget)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        common = (
            *HOOK_ARGUMENTS,
            "poll_interval",
            "deadline",
            "error_budget",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in (*self.arguments, *common)
        }

    async def wait(self) -> Event:
        from airflow_provider_dataflow.client.wait_for_resource import OutOfSight, OutOfTime, Watch

        await asyncio.sleep(NO_EVENT_BEFORE)
        watch = Watch(
            about=self.about,
            is_over=self.is_over,
            poll_interval=self.poll_interval,
            log=self.log,
            until=self.deadline,
            error_budget=self.error_budget,
        )
        poller_module = await module("airflow_provider_dataflow.client.poller.shared")
        hook = self.hook
        async with poller_module.shared_poller(hook.key, hook.async_client) as poller:
            try:
                found = await watch.in_triggerer(lambda: poller.request(self.look))
            except OutOfTime:
                return self._event(Outcome.TIMEOUT, watch)
            except OutOfSight as error:
                return self._event(Outcome.LOST, watch, str(error))
        watch.state = found.state
        return self._event(Outcome.REACHED, watch)

    def _event(self, outcome: Outcome, watch: Watch, message: str | None = None) -> Any:
        return self.event(outcome, watch.state, message)

    @property
    @abstractmethod
    def about(self) -> str:
        """What is waited for, for the log."""

    @abstractmethod
    async def look(self, client: AsyncDataFlowClient) -> Resource:
        """One look."""

    @abstractmethod
    def is_over(self, state: str) -> bool:
        """Whether the state ends the wait."""

    @abstractmethod
    def event(self, outcome: Outcome, state: str | None, message: str | None) -> Event:
        """What the task is told."""
