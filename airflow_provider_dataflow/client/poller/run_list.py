"""One look at the runs of a compartment that are waited for, by lists of those that have not ended."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.poller.loop_yielder import Bites
from airflow_provider_dataflow.client.poller.subscriptions import LISTED_STATES, Watch
from airflow_provider_dataflow.models.run import LifecycleState, Run

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import RunPage

log = logging.getLogger(__name__)

ListPage = Callable[[str, str | None], "Awaitable[RunPage]"]


class Round:
    """Finds runs in ListRuns, filtered by state.

    Of all filters (the service allows one), the state's needs the fewest pages: what has ended, which is most
    of a compartment, is in none. A run that ends is therefore no longer shown, and left in :attr:`unseen`, to
    be asked for by GetRun. ACCEPTED comes before IN_PROGRESS, so that a run that moves on meanwhile is seen
    at least once.

    :param watches: the runs to find.
    :param page_in_gets: what a page costs, in GetRuns: so many missing runs are not worth another page.
    """

    def __init__(self, watches: Iterable[Watch], page_in_gets: float) -> None:
        self.unseen = {watch.run_id: watch for watch in watches}
        self.pages = 0
        # What asking for each would cost: more than that is not spent on pages, as among many runs of others.
        self._most_pages = len(self.unseen) / page_in_gets
        self._page_in_gets = page_in_gets
        self._bites = Bites()

    async def look(self, list_page: ListPage) -> None:
        """:param list_page: fetches a page of a state: the first, or the one that a page token names."""
        for state in LISTED_STATES:
            wanted = {
                run_id: watch
                for run_id, watch in self.unseen.items()
                # None goes back to ACCEPTED.
                if state == LifecycleState.IN_PROGRESS or watch.state != LifecycleState.IN_PROGRESS
            }
            await self._bites.rest()
            if state == LifecycleState.IN_PROGRESS or len(wanted) > self._page_in_gets:
                await self._look(list_page, state, wanted)

    @property
    def cost(self) -> float:
        """What it took, in pages; so does asking for those that were not seen."""
        return self.pages + len(self.unseen) / self._page_in_gets

    async def _look(self, list_page: ListPage, state: str, wanted: dict[str, Watch]) -> None:
        oldest = min((watch.created or 0.0 for watch in wanted.values()), default=0.0)
        await self._bites.rest()
        page: str | None = None
        while wanted:
            found = await list_page(state, page)
            self.pages += 1
            for row in found.rows:
                run_id = row.get("id")
                watch = wanted.pop(run_id, None) if isinstance(run_id, str) else None
                if watch is not None and self._saw(watch, row):
                    del self.unseen[watch.run_id]
                    await self._bites.rest()
            page = found.next_page
            if page is None or len(wanted) <= self._page_in_gets or self.pages >= self._most_pages:
                return
            if _created(found.rows[-1:]) < oldest:
                return

    def _saw(self, watch: Watch, row: dict[str, Any]) -> bool:
        """True if the row can be read; otherwise its run is asked for by itself, as if it were not listed."""
        if row.get("lifecycleState") == watch.state:
            watch.still()
            return True
        try:
            run = Run.from_api(row)
        except ValueError as error:
            log.debug("A row of ListRuns for %r is left out: %s", watch, error)
            return False
        watch.deliver(run)
        return True


def _created(last: list[dict[str, Any]]) -> float:
    """Of the last row of a page; they come newest first. Never so early that one stops, if it is not said."""
    try:
        return datetime.fromisoformat(last[0]["timeCreated"]).timestamp()
    except (IndexError, KeyError, TypeError, ValueError, OverflowError):
        return float("inf")
