"""Entry of the poller: subscribe to runs, and send other requests through the same rate limit."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_dataflow.client.poller.request_dispatcher import RequestDispatcher
from airflow_provider_dataflow.client.poller.request_sender import ClientFactory, RequestSender
from airflow_provider_dataflow.client.poller.subscriptions import RunRegistry, Subscription
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.auth.access import Access
    from airflow_provider_dataflow.models.run import Run, RunLog

T = TypeVar("T")


class RunPoller:
    """Polls all runs of a connection that have subscribers. Belongs to one event loop.

    :param client_factory: builds the client when the first request is due.
    """

    def __init__(self, client_factory: ClientFactory) -> None:
        self._sender = RequestSender(client_factory)
        self._registry = RunRegistry()
        self._dispatcher = RequestDispatcher(self._registry, self._sender)
        self._scheduler = self._dispatcher.scheduler
        #: See :class:`shared_poller`.
        self.key: Hashable = None
        self.users = 0

    async def wait_for(self, run_id: str, **kwargs: Any) -> Run:
        """Wait until the run is in one of the states or has ended. Arguments as of :meth:`subscribe`.

        :raises RunLost: the error budget is used up.
        :raises InvalidConnection: the client cannot be built.
        """
        subscription = self.subscribe(run_id, **kwargs)
        try:
            return await subscription.done
        finally:
            self.unsubscribe(subscription)

    def subscribe(
        self,
        run_id: str,
        *,
        states: Collection[str],
        poll_interval: float,
        error_budget: float = DEFAULT_ERROR_BUDGET,
        on_change: Callable[[Run], None] | None = None,
        compartment_id: str | None = None,
        last_state: str | None = None,
    ) -> Subscription:
        """Poll the run until it is in one of the states or has ended; ``done`` is the future of that.

        ``done`` is set at most one poll interval and a second after the run's end, as long as the requests of
        all subscriptions fit under the rate limit. Always call :meth:`unsubscribe` in the end.

        :param states: lifecycle states to wait for; the end of the run always ends the wait.
        :param poll_interval: maximum seconds between two polls.
        :param error_budget: seconds for which errors of the service are tolerated.
        :param on_change: called on the loop with each change of state, in the caller's context.
        :param compartment_id: of the run; default: read from the first response.
        :param last_state: the state that is already known, which is not reported as a change.
        :raises InvalidArgument: ``poll_interval`` or ``error_budget`` is not a finite number.
        """
        # Arguments of tasks are checked before, but NaN or text here would break the jobs of all other runs.
        for name, value, least in (("poll_interval", poll_interval, 1e-9), ("error_budget", error_budget, 0)):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not least <= value < math.inf:
                raise InvalidArgument(name, f"expected finite seconds, got {type(value).__name__}")
        subscription = Subscription(run_id, states, poll_interval, error_budget, on_change, last_state)
        run = self._registry.add(subscription, compartment_id if isinstance(compartment_id, str) else None)
        self._dispatcher.schedule_first_poll(run)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription, and cancel its future."""
        self._registry.remove(subscription)
        subscription.done.cancel()

    @property
    def access(self) -> Access | None:
        """Credentials and endpoint, to build another client from; None before the first request."""
        return self._sender.access

    async def list_run_logs(self, run_id: str) -> list[RunLog]:
        """Call the client's ``list_run_logs`` within the rate limit."""
        # Without a timeout here, since readers of logs wait for each other's connections.
        async with self._sender.limited_client() as client:
            return await client.list_run_logs(run_id)

    async def get_run_log(self, run_id: str, name: str) -> AsyncIterator[bytes]:
        """Call the client's ``get_run_log``; the request, not the download, counts for the rate limit."""
        async with (
            self._sender.limited_client() as client,
            aclosing(client.get_run_log(run_id, name)) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    async def request(self, call: Callable[[AsyncDataFlowClient], Awaitable[T]]) -> T:
        """Send another request of the client within the rate limit.

        :raises ServiceError: as the client does.
        """
        return await self._sender.send(call)

    async def close(self) -> None:
        """Stop polling, and cancel all subscriptions."""
        try:
            await self._scheduler.stop()
        finally:
            for subscription in self._registry.subscriptions:
                subscription.done.cancel()
            await self._sender.close()


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, RunPoller]] = WeakKeyDictionary()


class shared_poller:
    """Context manager of the running loop's poller for a key: created for the first user, closed by the last.

    :param key: identifies the connection: connection id, region, endpoint.
    :param client_factory: builds the client if the poller is new.
    """

    # A class, since a generator-based context manager needs three times the memory, for each waiting trigger.
    __slots__ = ("_client_factory", "_key")

    def __init__(self, key: Hashable, client_factory: ClientFactory) -> None:
        # A forked process must neither use nor close its parent's sockets.
        self._key: Hashable = (os.getpid(), key)
        self._client_factory: ClientFactory | None = client_factory

    async def __aenter__(self) -> RunPoller:
        pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
        if (poller := pollers.get(self._key)) is None:
            assert self._client_factory is not None, "shared_poller can be entered only once"  # noqa: S101
            poller = pollers[self._key] = RunPoller(self._client_factory)
            poller.key = self._key
        poller.users += 1
        # Frees the hook that the factory refers to, and the copy of the key.
        self._client_factory, self._key = None, poller.key
        return poller

    async def __aexit__(self, *_: object) -> None:
        pollers = _pollers[asyncio.get_running_loop()]
        poller = pollers[self._key]
        poller.users -= 1
        if poller.users == 0:
            del pollers[self._key]
            await poller.close()
