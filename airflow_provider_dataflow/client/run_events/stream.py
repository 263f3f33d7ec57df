"""Stream of state changes of all runs of an application or compartment."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Container
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_dataflow.client.poller.event_loop import LoopYielder
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.responses import Pages, reading
from airflow_provider_dataflow.client.run_events.reported_runs import OVERLAP_SECONDS
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError, UnexpectedResponse
from airflow_provider_dataflow.models.run import TERMINAL_STATES, LifecycleState, Run
from airflow_provider_dataflow.polling import jittered

log = logging.getLogger(__name__)

PAGE_SIZE = 100
#: After a day of errors, the stream drops a run that it follows.
FOLLOW_ERROR_BUDGET_SECONDS = 24 * 3600.0
ACTIVE_STATES = tuple(state for state in LifecycleState if state not in TERMINAL_STATES)


@dataclass(frozen=True)
class Scope:
    """Application or compartment whose runs are watched.

    :param compartment_id: OCID.
    :param application_id: OCID; default: all applications.
    """

    compartment_id: str
    application_id: str | None = None

    async def active_runs(self, poller: RunPoller) -> list[Run]:
        """Return the runs that have not ended.

        :raises ServiceError: a request failed.
        """
        found: list[Run] = []
        for state in ACTIVE_STATES:
            found += await self._list(poller, 0.0, (), lifecycle_state=state)
        return found

    async def created_since(
        self, poller: RunPoller, since: float, known: Container[str] = frozenset()
    ) -> list[Run]:
        """Return the runs created after that time, in any state, newest first.

        :param since: seconds since 1970.
        :param known: ids of runs that are left out.
        :raises ServiceError: a request failed.
        """
        if self.application_id:
            return await self._list(poller, since, known, application_id=self.application_id)
        moment = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds")
        return await self._list(poller, since, known, time_created_greater_than=moment)

    async def _list(
        self, poller: RunPoller, since: float, known: Container[str], **filters: str
    ) -> list[Run]:
        found: list[Run] = []
        yielder, token, pages = LoopYielder(), None, Pages()
        while True:
            page = await poller.request(
                lambda client, token=token: client.list_runs_page(  # type: ignore[misc]
                    self.compartment_id, limit=PAGE_SIZE, page=token, **filters
                )
            )
            for row in page.rows:
                try:
                    if row.get("id") in known:
                        continue
                    run = Run.from_api(row)
                except (ValueError, TypeError) as error:
                    log.debug("ListRuns: cannot read a row; other runs are not affected: %s", error)
                    continue
                if _created_or_inf(run) <= since:
                    return found
                if self.application_id in (None, run.application_id):
                    found.append(run)
                await yielder.yield_if_due()
            with reading("ListRuns", None):
                token = pages.next(page.next_page)
            if token is None:
                return found


class RunStream:
    """Yields each state of each run of a scope once. Never ends by itself, and never fails.

    One ListRuns per interval finds new runs; active runs are polled by the poller together with all others.
    Use it as a context manager, then iterate.

    :param poll_interval: maximum seconds between two searches for new runs, and between two polls of a run.
    :param now: returns seconds since 1970.
    """

    def __init__(
        self, poller: RunPoller, scope: Scope, poll_interval: float, *, now: Callable[[], float] = time.time
    ) -> None:
        self._poller = poller
        self._scope = scope
        self._poll_interval = poll_interval
        self._now = now
        self._changes: asyncio.Queue[Run | None] = asyncio.Queue()
        self._followers: dict[str, asyncio.Task[None]] = {}
        #: Creation times of known runs that ListRuns may show again.
        self._known: dict[str, float] = {}
        self._search: asyncio.Task[None] | None = None

    async def __aenter__(self) -> RunStream:
        self._search = asyncio.create_task(self._search_for_runs())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._search, *self._followers.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __aiter__(self) -> AsyncIterator[Run | None]:
        return self

    async def __anext__(self) -> Run | None:
        """Return the next changed run, or once None: from then on, the stream misses no change."""
        return await self._changes.get()

    async def _search_for_runs(self) -> None:
        failing = started = False
        since = self._now() - OVERLAP_SECONDS
        while True:
            try:
                if not started:
                    for run in await self._scope.active_runs(self._poller):
                        self._follow(run)
                    for run in await self._scope.created_since(self._poller, since):
                        self._known[run.id] = _created_or_inf(run)
                        if not run.is_terminal:
                            # It was created after its state was listed.
                            self._follow(run)
                    started = True
                    self._changes.put_nowait(None)
                else:
                    for run in reversed(await self._scope.created_since(self._poller, since, self._known)):
                        self._add(run)
                    # A run without a creation time says nothing about how far the list was read.
                    newest = max(filter(math.isfinite, self._known.values()), default=since)
                    since = max(since, newest - OVERLAP_SECONDS)
                    self._known = {id: created for id, created in self._known.items() if created > since}
                failing = False
            except Exception as error:  # noqa: BLE001 - a watcher must survive any outage
                if not failing:
                    log.warning(
                        "Watcher of %s: cannot list new runs (%s); retrying every %g s",
                        self._scope,
                        error,
                        self._poll_interval,
                    )
                failing = True
            await asyncio.sleep(jittered(self._poll_interval))

    def _add(self, run: Run) -> None:
        if run.id in self._known or run.id in self._followers:
            return
        self._known[run.id] = _created_or_inf(run)
        self._changes.put_nowait(run)
        if not run.is_terminal:
            self._follow(run)

    def _follow(self, run: Run) -> None:
        if run.id not in self._followers:
            self._known[run.id] = _created_or_inf(run)
            task = self._followers[run.id] = asyncio.create_task(self._wait_for(run))
            task.add_done_callback(lambda _: self._followers.pop(run.id, None))

    async def _wait_for(self, run: Run) -> None:
        """Yield the changes of a run until its end, or until it could not be read for a day."""
        last, responded, has_warned = run, False, False
        failing_since = self._now()

        def on_change(changed: Run) -> None:
            nonlocal last, responded
            responded = True
            if changed.state != last.state:
                last = changed
                self._changes.put_nowait(changed)

        while True:
            responded = False
            try:
                # Without the last state, so that each wait reports its first response.
                await self._poller.wait_for(
                    run.id,
                    states=TERMINAL_STATES,
                    poll_interval=self._poll_interval,
                    error_budget=FOLLOW_ERROR_BUDGET_SECONDS,
                    on_change=on_change,
                    compartment_id=run.compartment_id,
                )
                return
            except DataFlowError as error:
                # A wait gives up after five minutes of 401, 403 or 404.
                if responded:
                    failing_since, has_warned = self._now(), False
                is_dropped = self._now() - failing_since > FOLLOW_ERROR_BUDGET_SECONDS
                if is_dropped or not has_warned:
                    outcome = "it is not watched any more" if is_dropped else "trying again"
                    log.warning("Watcher of %s: %s; %s", self._scope, error, outcome)
                if is_dropped:
                    return
                has_warned = True
            await asyncio.sleep(jittered(self._poll_interval))


async def read_missed_changes(
    poller: RunPoller, scope: Scope, since: float, open_runs: dict[str, float]
) -> tuple[list[Run], set[str]]:
    """Read the state of runs that were active when the watcher stopped, and of runs created since.

    :param since: seconds since 1970.
    :param open_runs: ids of the runs that were active, with their creation times.
    :return: the runs, oldest first, and the ids of those that the service no longer knows.
    :raises ServiceError: a request failed.
    """
    found = {run.id: run for run in await scope.created_since(poller, since)}
    found |= {run.id: run for run in await scope.active_runs(poller)}
    unknown: set[str] = set()
    for run_id in open_runs:
        if run_id not in found:
            try:
                found[run_id] = await poller.request(lambda client, id=run_id: client.get_run(id))  # type: ignore[misc]
            except UnexpectedResponse as error:
                # The run stays open, and the watcher starts without it.
                log.warning("Run %s: cannot read its state; the watcher starts without it: %s", run_id, error)
            except ServiceError as error:
                if error.status != 404:
                    raise
                unknown.add(run_id)
    return sorted(found.values(), key=_created_or_inf), unknown


def _created_or_inf(run: Run) -> float:
    """Return the creation time; infinity if it is unknown, so that the run counts as new."""
    return run.time_created.timestamp() if run.time_created else math.inf
