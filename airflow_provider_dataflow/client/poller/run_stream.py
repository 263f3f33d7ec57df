"""All runs of an application or compartment, as they change."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_dataflow.client.poller.loop_yielder import Bites
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.poller.reported_runs import OVERLAP
from airflow_provider_dataflow.client.poller.subscriptions import LISTED_STATES
from airflow_provider_dataflow.client.responses import Pages, reading
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError, UnexpectedResponse
from airflow_provider_dataflow.models.run import TERMINAL_STATES, Run

log = logging.getLogger(__name__)

PAGE_SIZE = 100
#: Seconds for which a run may be out of sight before it is followed no more.
FOLLOW_FOR = 24 * 3600.0


@dataclass(frozen=True)
class Scope:
    """Whose runs.

    :param compartment_id: OCID.
    :param application_id: OCID; default: all applications.
    """

    compartment_id: str
    application_id: str | None = None

    async def under_way(self, poller: RunPoller) -> list[Run]:
        """Those that have not ended.

        :raises ServiceError: the service could not be asked.
        """
        found: list[Run] = []
        for state in LISTED_STATES:
            found += await self._list(poller, 0.0, (), lifecycle_state=state)
        return found

    async def created_since(
        self, poller: RunPoller, since: float, known: Container[str] = frozenset()
    ) -> list[Run]:
        """Those that were created after that, whatever has become of them; newest first.

        :param since: seconds since the epoch.
        :param known: ids of runs that are left out.
        :raises ServiceError: the service could not be asked.
        """
        if self.application_id:
            return await self._list(poller, since, known, application_id=self.application_id)
        moment = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds")
        return await self._list(poller, since, known, time_created_greater_than=moment)

    async def _list(
        self, poller: RunPoller, since: float, known: Container[str], **filters: str
    ) -> list[Run]:
        found: list[Run] = []
        bites, page, pages = Bites(), None, Pages()
        while True:
            answer = await poller.request(
                lambda client, page=page: client.list_runs_page(  # type: ignore[misc]
                    self.compartment_id, limit=PAGE_SIZE, page=page, **filters
                )
            )
            for row in answer.rows:
                try:
                    if row.get("id") in known:
                        continue
                    run = Run.from_api(row)
                except (ValueError, TypeError) as error:
                    # Of one run; all others are told of as before.
                    log.debug("A row of ListRuns is left out: %s", error)
                    continue
                if _created(run) <= since:
                    return found
                if self.application_id in (None, run.application_id):
                    found.append(run)
                await bites.rest()
            with reading("ListRuns", None):
                page = pages.next(answer.next_page)
            if page is None:
                return found


class RunStream:
    """Tells of each state of each run of a scope, once. Never ends by itself, and never fails.

    New runs are found by one page of ListRuns per interval; those under way are left to the poller, which
    asks for them together with whatever else is waited for. Use it as a context manager, then iterate.

    :param poll_interval: seconds between two looks for new runs.
    :param now: tells seconds since the epoch.
    """

    def __init__(
        self, poller: RunPoller, scope: Scope, poll_interval: float, *, now: Callable[[], float] = time.time
    ) -> None:
        self._poller = poller
        self._scope = scope
        self._poll_interval = poll_interval
        self._now = now
        self._changes: asyncio.Queue[Run | None] = asyncio.Queue()
        self._follows: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, float] = {}
        self._look: asyncio.Task[None] | None = None

    async def __aenter__(self) -> RunStream:
        self._look = asyncio.create_task(self._look_for_runs())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._look, *self._follows.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __aiter__(self) -> AsyncIterator[Run | None]:
        return self

    async def __anext__(self) -> Run | None:
        """A run that has changed; or ``None``, once: from here on no change is missed."""
        return await self._changes.get()

    async def _look_for_runs(self) -> None:
        failing = started = False
        since = self._now() - OVERLAP
        while True:
            try:
                if not started:
                    for run in await self._scope.under_way(self._poller):
                        self._follow(run)
                    for run in await self._scope.created_since(self._poller, since):
                        self._seen[run.id] = _created(run)
                    started = True
                    self._changes.put_nowait(None)
                else:
                    for run in reversed(await self._scope.created_since(self._poller, since, self._seen)):
                        self._found(run)
                    newest = max(self._seen.values(), default=since)
                    since = max(since, newest - OVERLAP)
                    self._seen = {id: created for id, created in self._seen.items() if created > since}
                failing = False
            except Exception as error:  # noqa: BLE001 - a watcher outlasts whatever may pass
                if not failing:
                    log.warning("Watching %s on although %s", self._scope, error)
                failing = True
            await asyncio.sleep(self._poll_interval * random.uniform(1.0, 1.1))  # noqa: S311

    def _found(self, run: Run) -> None:
        if run.id in self._seen or run.id in self._follows:
            return
        self._seen[run.id] = _created(run)
        self._changes.put_nowait(run)
        if not run.is_terminal:
            self._follow(run)

    def _follow(self, run: Run) -> None:
        if run.id not in self._follows:
            self._seen[run.id] = _created(run)
            task = self._follows[run.id] = asyncio.create_task(self._wait_for(run))
            task.add_done_callback(lambda _: self._follows.pop(run.id, None))

    async def _wait_for(self, run: Run) -> None:
        with suppress(DataFlowError):
            await self._poller.wait_for(
                run.id,
                states=TERMINAL_STATES,
                poll_interval=self._poll_interval,
                error_budget=FOLLOW_FOR,
                on_change=self._changes.put_nowait,
                compartment_id=run.compartment_id,
                last_state=run.state,
            )


async def look_again(
    poller: RunPoller, scope: Scope, since: float, open_runs: dict[str, float]
) -> tuple[list[Run], set[str]]:
    """What has become of the runs that were under way, and what was created since; oldest first.

    :return: the runs, and the ids of those that the service does not know any more.
    :raises ServiceError: the service could not be asked.
    """
    found = {run.id: run for run in await scope.created_since(poller, since)}
    found |= {run.id: run for run in await scope.under_way(poller)}
    gone: set[str] = set()
    for run_id in open_runs:
        if run_id not in found:
            try:
                found[run_id] = await poller.request(lambda client, id=run_id: client.get_run(id))  # type: ignore[misc]
            except UnexpectedResponse as error:
                # It stays under way, and the watch begins all the same.
                log.warning("What became of run %s is not known yet: %s", run_id, error)
            except ServiceError as error:
                if error.status != 404:
                    raise
                gone.add(run_id)
    return sorted(found.values(), key=_created), gone


def _created(run: Run) -> float:
    return run.time_created.timestamp() if run.time_created else float("inf")
