"""One poll round for many runs of a compartment, by ListRuns."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.poller.event_loop import LoopYielder
from airflow_provider_dataflow.client.poller.subscriptions import LISTED_STATES, PolledRun
from airflow_provider_dataflow.models.run import LifecycleState, Run
from airflow_provider_dataflow.polling import GETS_PER_PAGE

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import RunPage

log = logging.getLogger(__name__)


async def find_runs(
    missing: dict[str, PolledRun], list_page: Callable[[str, str | None], Awaitable[RunPage]]
) -> None:
    """Find runs in ListRuns, update them, and remove them from ``missing``.

    The service allows one filter. Filtering by state needs the fewest pages, since it leaves out all runs
    that have ended. A run that has just ended is therefore not found: it must be polled by GetRun. ACCEPTED
    is listed before IN_PROGRESS, so that a run that starts in between is found.

    :param missing: runs to find, by their ids.
    :param list_page: fetches a page by state and page token; None is the first page.
    """
    # Among many runs of others, more pages than this would cost more than one GetRun per run.
    pages_left = max(1, len(missing) // GETS_PER_PAGE)
    yielder = LoopYielder()
    for state in LISTED_STATES:
        wanted = dict(missing)
        if state == LifecycleState.ACCEPTED:
            # No run returns from IN_PROGRESS to ACCEPTED.
            wanted = {id: run for id, run in missing.items() if run.state != LifecycleState.IN_PROGRESS}
            if len(wanted) <= GETS_PER_PAGE:
                continue
        oldest = min((run.created or 0.0 for run in wanted.values()), default=0.0)
        token: str | None = None
        while wanted:
            page = await list_page(state, token)
            pages_left -= 1
            for row in page.rows:
                run_id = row.get("id")
                run = wanted.pop(run_id, None) if isinstance(run_id, str) else None
                if run is not None and _update(run, row):
                    del missing[run.run_id]
                    await yielder.yield_if_due()
            token = page.next_page
            if token is None or len(wanted) <= GETS_PER_PAGE or pages_left <= 0:
                break
            # The newest are listed first: all further runs are older than those that are wanted.
            if _time_created(page.rows[-1:]) < oldest:
                break


def _update(run: PolledRun, row: dict[str, Any]) -> bool:
    """Update a run from its row. Return False if GetRun has to be used: the row cannot be read, or shows a
    state other than that of the filter, so that the run will be missing from the lists."""
    if row.get("lifecycleState") == run.state:
        run.unchanged()
        return True
    try:
        found = Run.from_api(row)
    except ValueError as error:
        log.debug("ListRuns: cannot read the row of %r; it is polled by GetRun: %s", run, error)
        return False
    run.update(found)
    return run.is_listable


def _time_created(rows: list[dict[str, Any]]) -> float:
    """Return the creation time of the first row; infinity, so that paging continues, if it cannot be read."""
    try:
        return datetime.fromisoformat(rows[0]["timeCreated"]).timestamp()
    except (IndexError, KeyError, TypeError, ValueError, OverflowError):
        return float("inf")
