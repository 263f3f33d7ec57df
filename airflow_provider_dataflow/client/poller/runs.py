"""The schedule of all the runs that are waited for through a connection."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dataflow.client.poller.bites import Bites
from airflow_provider_dataflow.client.poller.compartment import Compartment, Costs
from airflow_provider_dataflow.client.poller.listing import Round
from airflow_provider_dataflow.client.poller.pace import Pace
from airflow_provider_dataflow.client.poller.waits import Subscription, Watch
from airflow_provider_dataflow.exceptions import InvalidConnection, ServiceError
from airflow_provider_dataflow.polling import (
    DEFAULT_ERROR_BUDGET,
    MAX_CONNECTIONS,
    MAX_REQUESTS_PER_SECOND,
    Durations,
    ErrorBudget,
)
from airflow_provider_dataflow.run import Run

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.aio import AsyncDataFlowClient, RunPage

log = logging.getLogger(__name__)

T = TypeVar("T")
ClientFactory = Callable[[], "Awaitable[AsyncDataFlowClient]"]

#: Seconds for which those who begin to wait are gathered, so that a thousand of them are asked for together.
GATHER = 1.0
#: Seconds between two thoughts about whether to list, while runs are asked for one by one.
RECONSIDER = 10.0
#: Seconds after which the recent runs of an application are looked at again.
LOOK_BACK_EVERY = 3600.0
#: Poll intervals after which a run is old enough for that to pay.
LOOK_BACK_AFTER = 4
#: Runs per page. A page of 500 is parsed in 3 ms; larger ones are refused by some services of OCI.
PAGE_SIZE = 500
SMALLEST_PAGE = 100


class RunPoller:
    """Asks for all runs that somebody waits for. Belongs to one event loop.

    :param client_factory: makes the client, when the first request is due.
    :param now: tells seconds since the epoch.
    """

    def __init__(self, client_factory: ClientFactory, *, now: Callable[[], float] | None = None) -> None:
        self._client_factory = client_factory
        self._client: AsyncDataFlowClient | None = None
        self._making_client = asyncio.Lock()
        self._now = now or time.time
        self._pace = Pace(MAX_REQUESTS_PER_SECOND)
        self._costs = Costs()
        self._page_size = PAGE_SIZE
        self._durations = Durations()
        self._looked_back: dict[str, float] = {}
        self._watches: dict[str, Watch] = {}
        self._compartments: dict[str, Compartment] = {}
        self._failing = False
        # What is due when; entries that no longer hold are passed over.
        self._plan: list[tuple[float, int, Watch | Compartment]] = []
        self._numbers = itertools.count()
        self._planned = asyncio.Event()
        self._ready: deque[Watch | Compartment] = deque()
        self._schedule: asyncio.Task[None] | None = None
        self._workers: set[asyncio.Task[None]] = set()
        # Counted apart: a task that has ended is only known to have at the loop's next turn.
        self._working = 0

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
        """
        loop = asyncio.get_running_loop()
        subscription = Subscription(
            run_id,
            states,
            poll_interval,
            ErrorBudget(error_budget),
            on_change,
            loop.create_future(),
            last_state,
        )
        self._add(subscription, compartment_id, loop.time())
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Nobody waits for ``subscription.done`` any more."""
        watch = subscription.watch
        if watch and subscription in watch.subscriptions:
            watch.subscriptions.remove(subscription)
            if not watch.subscriptions:
                self._forget(watch)
        subscription.done.cancel()

    async def client(self) -> AsyncDataFlowClient:
        """The client that all share, for other questions."""
        async with self._making_client:
            if self._client is None:
                self._client = await self._client_factory()
                self._pace = Pace(getattr(self._client, "max_requests_per_second", MAX_REQUESTS_PER_SECOND))
            return self._client

    async def request(self, call: Callable[[AsyncDataFlowClient], Awaitable[T]]) -> T:
        """Something else that the client can do, at the pace of all.

        :raises ServiceError: as the client does.
        """
        answer, _ = await self._request(call)
        return answer

    async def close(self) -> None:
        """Stop asking; whoever still waits is cancelled."""
        tasks = [*self._workers, *([self._schedule] if self._schedule else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._schedule = None
        for watch in self._watches.values():
            for subscription in watch.subscriptions:
                subscription.done.cancel()
        if self._client:
            await self._client.close()
            self._client = None

    def _add(self, subscription: Subscription, compartment_id: str | None, now: float) -> None:
        watch = self._watches.get(subscription.run_id)
        if watch is None:
            watch = self._watches[subscription.run_id] = Watch(subscription.run_id)
            if compartment_id:
                self._place(watch, compartment_id)
        watch.subscriptions.append(subscription)
        subscription.watch = watch
        if watch.compartment is None or not watch.is_listable:
            self._at(watch, now)
        else:
            # Where runs are listed, the next round is early enough, and one per newcomer far too much.
            pause = subscription.poll_interval
            self._at(watch.compartment, now + (pause if watch.compartment.listing else min(GATHER, pause)))
        if self._schedule is None:
            self._schedule = _in_own_context(self._run_schedule())

    def _place(self, watch: Watch, compartment_id: str | None) -> None:
        """Put it with the others of its compartment; a run can be moved."""
        if not compartment_id or (watch.compartment and watch.compartment.id == compartment_id):
            return
        self._leave(watch)
        compartment = self._compartments.setdefault(compartment_id, Compartment(compartment_id))
        watch.compartment = compartment
        compartment.watches[watch.run_id] = watch

    def _leave(self, watch: Watch) -> None:
        compartment, watch.compartment = watch.compartment, None
        if compartment:
            compartment.watches.pop(watch.run_id, None)
            if not compartment.watches:
                compartment.due = math.inf
                self._compartments.pop(compartment.id, None)

    def _forget(self, watch: Watch) -> None:
        watch.due = math.inf
        if self._watches.get(watch.run_id) is watch:
            del self._watches[watch.run_id]
        self._leave(watch)

    # When

    def _at(self, job: Watch | Compartment, due: float) -> None:
        """Ask at that time, unless it is to be asked for earlier anyway."""
        if due >= job.due:
            return
        job.due = due
        if len(self._plan) > 64 + 4 * len(self._watches):
            # Mostly entries of those who have left.
            self._plan = [entry for entry in self._plan if entry[0] == entry[2].due]
            heapq.heapify(self._plan)
        heapq.heappush(self._plan, (due, next(self._numbers), job))
        if self._plan[0][2] is job:
            self._planned.set()

    async def _run_schedule(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._planned.clear()
            now = loop.time()
            bites = Bites()
            while self._plan and self._plan[0][0] <= now:
                due, _, job = heapq.heappop(self._plan)
                if job.due == due:
                    job.due = math.inf
                    # One that is being asked for is planned anew with the answer.
                    if not job.asking:
                        job.asking = True
                        self._ready.append(job)
                await bites.rest()
            for _ in range(min(len(self._ready), MAX_CONNECTIONS - self._working)):
                self._working += 1
                worker = _in_own_context(self._work())
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
            try:
                async with asyncio.timeout_at(self._plan[0][0] if self._plan else None):
                    await self._planned.wait()
            except TimeoutError:
                pass

    async def _work(self) -> None:
        while self._ready:
            job = self._ready.popleft()
            try:
                if isinstance(job, Compartment):
                    await self._ask_together(job)
                else:
                    await self._ask(job)
            except Exception:
                log.exception("A fault of the poller, which goes on")
            job.asking = False
            self._plan_next(job)
        self._working -= 1

    def _plan_next(self, job: Watch | Compartment) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(job, Compartment):
            if job.watches:
                self._at(job, now + max(job.pause, 0.0))
        elif job.is_waited_for:
            pause, job.pause = job.pause, 0.0
            if not (job.compartment and job.compartment.listing and job.is_listable):
                self._at(job, now + max(_later(job.interval(self._now(), self._durations)), pause))

    # What

    async def _request(self, call: Callable[[AsyncDataFlowClient], Awaitable[T]]) -> tuple[T, float]:
        """The answer, and the seconds that it took. Not before the pace allows it."""
        loop = asyncio.get_running_loop()
        client = self._client or await self.client()
        while (delay := self._pace.delay(loop.time())) > 0:  # noqa: ASYNC110 - it is time that is waited for
            await asyncio.sleep(delay)
        sent = loop.time()
        self._pace.sent(sent)
        try:
            answer = await call(client)
        except ServiceError as error:
            if error.status == 429 or error.retry_after is not None:
                self._pace.throttled(loop.time(), sent, error.retry_after)
            raise
        return answer, loop.time() - sent

    async def _ask(self, watch: Watch) -> None:
        if not watch.is_waited_for:
            return
        try:
            run, seconds = await self._request(lambda client: client.get_run(watch.run_id))
        except Exception as error:  # noqa: BLE001 - a fault of ours uses up the budget like one of the service
            await self._failed(error, "GetRun", [watch])
            return
        self._answered()
        self._costs.got(seconds)
        self._learn(run)
        self._place(watch, run.compartment_id)
        if watch.compartment and watch.compartment.due == math.inf and not watch.compartment.asking:
            self._at(watch.compartment, asyncio.get_running_loop().time() + RECONSIDER)
        watch.deliver(run)
        await self._look_back(watch)

    async def _ask_together(self, compartment: Compartment) -> None:
        loop = asyncio.get_running_loop()
        compartment.pause = RECONSIDER
        period = await self._choose(compartment)
        if not compartment.listing:
            compartment.pause = max(RECONSIDER, period if period < math.inf else 0.0)
            now = loop.time()
            for watch in compartment.watches.values():
                if watch.due == math.inf and not watch.asking and watch.is_waited_for:
                    self._at(watch, now if watch.state is None else now + random.uniform(0, period))  # noqa: S311
            return
        compartment.pause = _later(period)
        watches = [watch for watch in compartment.watches.values() if watch.is_listable]
        for watch in watches:
            watch.due = math.inf
        look = Round(watches, self._costs.page_in_gets)

        async def list_page(state: str, page: str | None) -> RunPage:
            found, seconds = await self._request(
                lambda client: client.list_runs_page(
                    compartment.id, lifecycle_state=state, limit=self._page_size, page=page
                )
            )
            self._answered()
            self._costs.listed(seconds)
            return found

        try:
            await look.look(list_page)
        except Exception as error:  # noqa: BLE001 - as above
            await self._list_failed(error, compartment, list(look.unseen.values()))
            return
        compartment.measured(look.cost, loop.time())
        now = loop.time()
        for watch in look.unseen.values():
            if not watch.asking:
                self._at(watch, now)

    async def _choose(self, compartment: Compartment) -> float:
        """One by one, or together; and how soon the most impatient run is worth asking for again."""
        shortest, per_second = math.inf, 0.0
        now, bites = self._now(), Bites()
        for watch in list(compartment.watches.values()):
            if watch.is_listable and watch.subscriptions:
                seconds = watch.interval(now, self._durations)
                shortest = min(shortest, seconds)
                per_second += 1 / max(seconds, 1e-3)
                await bites.rest()
        compartment.choose(
            shortest,
            per_second,
            self._costs.page_in_gets,
            self._page_size,
            asyncio.get_running_loop().time(),
        )
        return shortest

    async def _list_failed(self, error: Exception, compartment: Compartment, unseen: list[Watch]) -> None:
        failure = _as_service_error(error, "ListRuns")
        now = asyncio.get_running_loop().time()
        if failure.is_transient:
            compartment.pause = max(compartment.pause, failure.retry_after or 0.0)
            await self._failed(failure, "ListRuns", unseen)
        elif failure.status == 400 and self._page_size > SMALLEST_PAGE:
            self._page_size = SMALLEST_PAGE
            compartment.pause = 0.0
        else:
            # Whoever may read a run is not always allowed to list them.
            log.warning("Runs of %s are asked for one by one, since %s", compartment.id, failure)
            compartment.bar(now)
            compartment.pause = RECONSIDER
            for watch in unseen:
                self._at(watch, now)

    async def _failed(self, error: Exception, operation: str, watches: list[Watch]) -> None:
        now, bites = asyncio.get_running_loop().time(), Bites()
        if isinstance(error, InvalidConnection):
            for watch in list(self._watches.values()):
                for subscription in watch.subscriptions:
                    if not subscription.done.done():
                        subscription.done.set_exception(error)
            return
        failure = _as_service_error(error, operation)
        if not self._failing:
            self._failing = True
            log.warning("Waiting on for %d runs although %s", len(self._watches), failure)
        for watch in watches:
            watch.pause = failure.retry_after or 0.0
            watch.fail(failure, now)
            await bites.rest()

    def _answered(self) -> None:
        if self._failing:
            self._failing = False
            log.info("Data Flow answers again")

    # What is usual

    def _learn(self, run: Run) -> None:
        if run.succeeded and run.application_id and run.time_created and run.time_updated:
            self._durations.add(run.application_id, (run.time_updated - run.time_created).total_seconds())

    async def _look_back(self, watch: Watch) -> None:
        """How long the application's last runs took: one request an hour, where a run is long enough."""
        application_id, compartment = watch.application_id, watch.compartment
        if not application_id or not compartment or compartment.listing or watch.created is None:
            return
        now = self._now()
        if (
            self._durations.usual(application_id)
            or not watch.is_waited_for
            or now - watch.created < LOOK_BACK_AFTER * watch.subscriptions[0].poll_interval
            or now - self._looked_back.get(application_id, -math.inf) < LOOK_BACK_EVERY
        ):
            return
        if len(self._looked_back) > 10_000:
            self._looked_back.clear()
        self._looked_back[application_id] = now
        try:
            found, _ = await self._request(
                lambda client: client.list_runs_page(
                    compartment.id, application_id=application_id, limit=SMALLEST_PAGE // 4
                )
            )
            for row in reversed(found.rows):
                self._learn(Run.from_api(row))
        except Exception as error:  # noqa: BLE001 - it is only for the better
            log.debug("The last runs of %s are unknown: %s", application_id, error)


def _later(seconds: float) -> float:
    """Never before the interval is over, and not in step with others."""
    return seconds * random.uniform(1.0, 1.1)  # noqa: S311


def _in_own_context(coroutine: Awaitable[None]) -> asyncio.Task[None]:
    """A task that works for all: what it logs belongs into nobody's task log."""
    return asyncio.create_task(coroutine, context=contextvars.Context())  # type: ignore[arg-type]


def _as_service_error(error: Exception, operation: str) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return ServiceError(operation=operation, message=f"{type(error).__name__}: {error}")
