"""ResourceTrigger: base of the triggers that wait for a pool or a statement."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.threads import import_in_thread
from airflow_provider_dataflow.polling import limited
from airflow_provider_dataflow.triggers.base import PollingTrigger
from airflow_provider_dataflow.triggers.events import Event, Outcome

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.poller.poller import RunPoller
    from airflow_provider_dataflow.client.wait import HasState


class ResourceTrigger(PollingTrigger):
    """Base of the triggers that poll one resource.

    Unlike runs, these are few, so each trigger polls by itself, within the rate limit of the connection.

    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    """

    async def wait(self) -> Event:
        from airflow_provider_dataflow.client.wait import ErrorBudgetExceeded, Wait, WaitTimedOut

        await asyncio.sleep(limited(self.NO_EVENT_BEFORE_SECONDS))
        wait = Wait(
            subject=self.resource_name,
            is_over=self.is_final,
            poll_interval=self.poll_interval,
            log=self.log,
            deadline=self.deadline,
            error_budget=self.error_budget,
        )
        poller_module = await import_in_thread("airflow_provider_dataflow.client.poller.poller")
        hook = self.hook
        async with poller_module.shared_poller(hook.connection_key, hook.async_client) as poller:
            try:
                found = await wait.in_triggerer(lambda: self.poll(poller))
            except WaitTimedOut:
                return self.event(Outcome.TIMEOUT, wait.state, None)
            except ErrorBudgetExceeded as error:
                return self.event(Outcome.LOST, wait.state, str(error))
        return self.event(Outcome.REACHED, found.state, None)

    @abstractmethod
    async def poll(self, poller: RunPoller) -> HasState:
        """Read the resource from the service, each request within the rate limit of the poller."""

    @abstractmethod
    def is_final(self, state: str) -> bool:
        """Return whether the wait ends in this state."""

    @abstractmethod
    def event(self, outcome: Outcome, state: str | None, message: str | None) -> Event:
        """Return the event for the task."""
