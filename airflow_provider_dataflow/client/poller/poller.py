"""The poller of a connection: who waits for what, and how to stop."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dataflow.client.poller.registry import Board
from airflow_provider_dataflow.client.poller.request_sender import ClientFactory, Sender
from airflow_provider_dataflow.client.poller.requests import Questions
from airflow_provider_dataflow.client.poller.subscriptions import Subscription
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, ErrorBudget, seconds_of

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.auth.access import Access
    from airflow_provider_dataflow.models.run import Run, RunLog

T = TypeVar("T")

#: Seconds for which those who begin to wait are gathered, so that a thousand of them are asked for together.
GATHER = 1.0


class RunPoller:
    """Asks for all runs that somebody waits for. Belongs to one event loop.

    :param client_factory: makes the client, when the first request is due.
    :param now: tells seconds since the epoch.
    """

    def __init__(self, client_factory: ClientFactory, *, now: Callable[[], float] | None = None) -> None:
        self._sender = Sender(client_factory)
        self._board = Board()
        self._schedule = Questions(self._board, self._sender, now or time.time).schedule

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self._board.watches or self._board.compartments)

    async def wait_for(self, run_id: str, **kwargs: Any) -> Run:
        """Wait until the run is in one of the states, or has ended; arguments as of :meth:`subscribe`.

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
        """Ask for the run until it is in one of the states, or has ended: ``done`` is the future of that.

        The first time within ``poll_interval``. :meth:`unsubscribe` in the end, whatever comes.

        :param states: lifecycle states to wait for; the end of the run always ends the wait.
        :param poll_interval: seconds between two questions, at least; up to eight times that for a run that
            is not expected to end yet.
        :param error_budget: seconds for which errors of the service are borne.
        :param on_change: called on the loop whenever the state has changed, in the caller's context.
        :param compartment_id: of the run; default: what its first answer says.
        :param last_state: the state that is known already, which is not reported as a change.
        :raises InvalidArgument: ``poll_interval`` or ``error_budget`` is no duration.
        """
        loop = asyncio.get_running_loop()
        # One that compares with no number would spoil the plan of all others.
        poll_interval = seconds_of(poll_interval, "poll_interval")
        if not 0 < poll_interval < math.inf:
            raise InvalidArgument("poll_interval", f"expected seconds above 0, got {poll_interval:g}")
        subscription = Subscription(
            run_id,
            states,
            poll_interval,
            ErrorBudget(error_budget),
            on_change,
            loop.create_future(),
            last_state,
        )
        watch = self._board.add(subscription, compartment_id if isinstance(compartment_id, str) else None)
        if watch.compartment is None or not watch.is_listable:
            self._schedule.at(watch, loop.time())
        else:
            # Where runs are listed, the next round is early enough, and one per newcomer far too much.
            pause = poll_interval if watch.compartment.listing else min(GATHER, poll_interval)
            self._schedule.at(watch.compartment, loop.time() + pause)
        self._schedule.start()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Nobody waits for ``subscription.done`` any more."""
        self._board.remove(subscription)
        subscription.done.cancel()

    @property
    def access(self) -> Access | None:
        """What all share to call the service, once that was needed; for a client of another kind."""
        return self._sender.access

    async def list_run_logs(self, run_id: str) -> list[RunLog]:
        """As the client does, at the pace of all."""
        # Without a limit: those who read logs wait for each other.
        async with self._sender.turn() as client:
            return await client.list_run_logs(run_id)

    async def get_run_log(self, run_id: str, name: str) -> AsyncIterator[bytes]:
        """As the client does; it begins at the pace of all."""
        async with self._sender.turn() as client, aclosing(client.get_run_log(run_id, name)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def request(self, call: Callable[[AsyncDataFlowClient], Awaitable[T]]) -> T:
        """Something else that the client can do, at the pace of all.

        :raises ServiceError: as the client does.
        """
        answer, _ = await self._sender.send(call)
        return answer

    async def close(self) -> None:
        """Stop asking; whoever still waits is cancelled."""
        try:
            await self._schedule.stop()
        finally:
            for subscription in self._board.subscriptions:
                subscription.done.cancel()
            await self._sender.close()
