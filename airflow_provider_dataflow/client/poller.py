"""One poller per connection in a triggerer process: triggers say what they wait for, it does the asking.

A :class:`RunPoller` keeps one client and one schedule for all the runs that are waited for through a
connection. Each run is asked for once, however many wait for it. :func:`shared_poller` hands out the one
that belongs to a key, and closes it when the last user leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from airflow_provider_dataflow.client.aio import MAX_CONNECTIONS, AsyncDataFlowClient
from airflow_provider_dataflow.exceptions import RunLost, ServiceError
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, ErrorBudget, jittered
from airflow_provider_dataflow.run import Run, has_reached

log = logging.getLogger(__name__)

ClientFactory = Callable[[], Awaitable[AsyncDataFlowClient]]


@dataclass(eq=False)
class Subscription:
    """One wait for one run."""

    run_id: str
    states: Collection[str]
    poll_interval: float
    budget: ErrorBudget
    on_change: Callable[[Run], None] | None
    done: asyncio.Future[Run]
    last_state: str | None = None

    def deliver(self, run: Run) -> None:
        self.budget.success()
        if run.state != self.last_state:
            self.last_state = run.state
            if self.on_change:
                self.on_change(run)
        if has_reached(run.state, self.states) or run.is_terminal:
            self._finish(run)

    def fail(self, error: ServiceError, now: float) -> None:
        if not self.budget.failing:
            log.warning("Waiting on for run %s although %s", self.run_id, error)
        if self.budget.failure(error, now) and not self.done.done():
            self.done.set_exception(
                RunLost(
                    run_id=self.run_id,
                    state=self.last_state,
                    opc_request_id=error.opc_request_id,
                    note=str(error),
                )
            )

    def _finish(self, run: Run) -> None:
        if not self.done.done():
            self.done.set_result(run)


@dataclass(eq=False)
class Watch:
    """One run on the schedule, with everybody who waits for it."""

    run_id: str
    due: float
    subscriptions: set[Subscription] = field(default_factory=set)
    asking: bool = False

    @property
    def interval(self) -> float:
        return min(subscription.poll_interval for subscription in self.subscriptions)


class RunPoller:
    """Asks for all runs that somebody waits for. Belongs to one event loop."""

    def __init__(self, client_factory: ClientFactory) -> None:
        self._client_factory = client_factory
        self._client: AsyncDataFlowClient | None = None
        self._making_client = asyncio.Lock()
        self._watches: dict[str, Watch] = {}
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._asks: set[asyncio.Task[None]] = set()
        self._schedule: asyncio.Task[None] | None = None

    async def wait_for(
        self,
        run_id: str,
        *,
        states: Collection[str],
        poll_interval: float,
        error_budget: float = DEFAULT_ERROR_BUDGET,
        on_change: Callable[[Run], None] | None = None,
    ) -> Run:
        """Wait until the run is in one of the states, or has ended. Asks at once, then every interval.

        :param states: lifecycle states to wait for; the end of the run always ends the wait.
        :param poll_interval: seconds between two questions, at least.
        :param error_budget: seconds for which errors of the service are borne.
        :param on_change: called on the loop whenever the state has changed.
        :raises RunLost: the error budget is used up.
        :raises InvalidConnection: the client cannot be built.
        """
        loop = asyncio.get_running_loop()
        subscription = Subscription(
            run_id=run_id,
            states=states,
            poll_interval=poll_interval,
            budget=ErrorBudget(error_budget),
            on_change=on_change,
            done=loop.create_future(),
        )
        watch = self._watches.get(run_id)
        if watch is None:
            watch = self._watches[run_id] = Watch(run_id, due=loop.time())
        watch.due = min(watch.due, loop.time())
        watch.subscriptions.add(subscription)
        if self._schedule is None or self._schedule.done():
            self._schedule = asyncio.create_task(self._run_schedule())
        self._changed.set()
        try:
            return await subscription.done
        finally:
            watch.subscriptions.discard(subscription)
            if not watch.subscriptions and self._watches.get(run_id) is watch:
                del self._watches[run_id]

    async def client(self) -> AsyncDataFlowClient:
        """The client that all share, for other questions."""
        async with self._making_client:
            if self._client is None:
                self._client = await self._client_factory()
            return self._client

    async def close(self) -> None:
        """Stop asking; whoever still waits is cancelled."""
        tasks = [*self._asks, *([self._schedule] if self._schedule else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watch in self._watches.values():
            for subscription in watch.subscriptions:
                subscription.done.cancel()
        if self._client:
            await self._client.close()
            self._client = None

    async def _run_schedule(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            client = await self.client()
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
            self._fail_all(error)
            return
        while True:
            self._changed.clear()
            now = loop.time()
            waiting = [watch for watch in self._watches.values() if not watch.asking]
            for watch in waiting:
                if watch.due <= now:
                    watch.asking = True
                    task = asyncio.create_task(self._ask(client, watch))
                    self._asks.add(task)
                    task.add_done_callback(self._asks.discard)
            next_due = min((watch.due for watch in waiting if not watch.asking), default=None)
            try:
                async with asyncio.timeout_at(next_due):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _ask(self, client: AsyncDataFlowClient, watch: Watch) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.0
        try:
            async with self._slots:
                run = await client.get_run(watch.run_id)
            for subscription in list(watch.subscriptions):
                subscription.deliver(run)
        except Exception as error:  # noqa: BLE001 - a fault of ours uses up the budget like one of the service
            failure = error if isinstance(error, ServiceError) else _as_service_error(error)
            pause = failure.retry_after or 0.0
            for subscription in list(watch.subscriptions):
                subscription.fail(failure, loop.time())
        finally:
            if watch.subscriptions:
                watch.due = loop.time() + max(jittered(watch.interval), pause)
            watch.asking = False
            self._changed.set()

    def _fail_all(self, error: Exception) -> None:
        for watch in self._watches.values():
            for subscription in watch.subscriptions:
                if not subscription.done.done():
                    subscription.done.set_exception(error)


def _as_service_error(error: Exception) -> ServiceError:
    return ServiceError(operation="GetRun", message=f"{type(error).__name__}: {error}")


@dataclass
class _Shared:
    poller: RunPoller
    users: int = 0


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_poller(key: Hashable, client_factory: ClientFactory) -> AsyncIterator[RunPoller]:
    """The poller of this key on the running loop: made for the first user, closed after the last.

    :param key: what tells connections apart: connection id, region, endpoint.
    :param client_factory: makes the client, if the poller has to be made.
    """
    of_this_loop = _pollers.setdefault(asyncio.get_running_loop(), {})
    shared = of_this_loop.get(key)
    if shared is None:
        shared = of_this_loop[key] = _Shared(RunPoller(client_factory))
    shared.users += 1
    try:
        yield shared.poller
    finally:
        shared.users -= 1
        if shared.users == 0:
            del of_this_loop[key]
            await shared.poller.close()
