"""One poll round for many runs of a compartment, by ListRuns."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.poller.loop_yielder import LoopYielder
from airflow_provider_dataflow.client.poller.subscriptions import LISTED_STATES, PolledRun
from airflow_provider_dataflow.models.run import LifecycleState, Run

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import RunPage

log = logging.getLogger(__name__)

#: A page of ListRuns costs the service about as much as this many GetRuns.
GETS_PER_PAGE = 5

ListPage = Callable[[str, str | None], "Awaitable[RunPage]"]


class ListRound:
    """Finds runs in ListRuns, filtered by state.

    The service allows one filter. Filtering by state needs the fewest pages, since it leaves out all runs
    that have ended. A run that has just ended is therefore not found: it stays in :attr:`missing` and must be
    polled by GetRun. ACCEPTED is listed before IN_PROGRESS, so that a run that starts in between is found.

    :param runs: the runs to find.
    """

    def __init__(self, runs: Iterable[PolledRun]) -> None:
        self.missing = {run.run_id: run for run in runs}
        self._pages = 0
        # Among many runs of others, more pages than this would cost more than one GetRun per run.
        self._max_pages = len(self.missing) / GETS_PER_PAGE
        self._yielder = LoopYielder()

    async def poll(self, list_page: ListPage) -> None:
        """Update the runs that are found.

        :param list_page: fetches a page by state and page token; None is the first page.
        """
        for state in LISTED_STATES:
            wanted = {
                run_id: run
                for run_id, run in self.missing.items()
                # No run returns from IN_PROGRESS to ACCEPTED.
                if state == LifecycleState.IN_PROGRESS or run.state != LifecycleState.IN_PROGRESS
            }
            if state == LifecycleState.IN_PROGRESS or len(wanted) > GETS_PER_PAGE:
                await self._poll_state(list_page, state, wanted)

    async def _poll_state(self, list_page: ListPage, state: str, wanted: dict[str, PolledRun]) -> None:
        oldest = min((run.created or 0.0 for run in wanted.values()), default=0.0)
        token: str | None = None
        while wanted:
            page = await list_page(state, token)
            self._pages += 1
            for row in page.rows:
                run_id = row.get("id")
                run = wanted.pop(run_id, None) if isinstance(run_id, str) else None
                if run is not None and self._update(run, row):
                    del self.missing[run.run_id]
                    await self._yielder.yield_if_due()
            token = page.next_page
            if token is None or len(wanted) <= GETS_PER_PAGE or self._pages >= self._max_pages:
                return
            if _time_created(page.rows[-1:]) < oldest:
                return

    def _update(self, run: PolledRun, row: dict[str, Any]) -> bool:
        """Update a run from its row. Return False if the row cannot be read; GetRun is used instead."""
        if row.get("lifecycleState") == run.state:
            run.unchanged()
            return True
        try:
            found = Run.from_api(row)
        except ValueError as error:
            log.debug("ListRuns: cannot read the row of %r; it is polled by GetRun: %s", run, error)
            return False
        run.update(found)
        return True


def _time_created(rows: list[dict[str, Any]]) -> float:
    """Return the creation time of the first row; infinity, so that paging continues, if it cannot be read."""
    try:
        return datetime.fromisoformat(rows[0]["timeCreated"]).timestamp()
    except (IndexError, KeyError, TypeError, ValueError, OverflowError):
        return float("inf")
