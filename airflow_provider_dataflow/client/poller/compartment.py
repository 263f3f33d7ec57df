"""The runs of one compartment: asked for one by one, or listed, whichever is cheaper."""

from __future__ import annotations

import math

from airflow_provider_dataflow.client.poller.subscriptions import Watch

#: What a page costs in GetRuns, as long as it has not been measured.
ASSUMED_PAGE_COST = 5.0
#: Seconds after which what was measured is measured anew, and a refused ListRuns is tried again.
FORGET_AFTER = 600.0
#: The other way must be cheaper by this much, so that the choice does not flutter.
HYSTERESIS = 0.8


class Costs:
    """What a page of ListRuns costs beside a GetRun, in the service's time; measured all along."""

    def __init__(self) -> None:
        self._get: float | None = None
        self._page: float | None = None

    def got(self, seconds: float) -> None:
        self._get = _smoothed(self._get, seconds)

    def listed(self, seconds: float) -> None:
        self._page = _smoothed(self._page, seconds)

    @property
    def page_in_gets(self) -> float:
        """A page is one request, so never less than one."""
        if not self._get or self._page is None:
            return ASSUMED_PAGE_COST
        return min(max(self._page / self._get, 1.0), 50.0)


def _smoothed(old: float | None, new: float) -> float:
    return new if old is None else old + 0.1 * (new - old)


class Compartment:
    """Which way its runs are asked for, and when.

    :param id: OCID.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.watches: dict[str, Watch] = {}
        self.due = math.inf
        self.asking = False
        #: Seconds until its next turn.
        self.pause = 0.0
        self.listing = False
        #: Rounds of lists that have failed in a row.
        self.failures = 0
        self._pages: float | None = None
        self._measured_at = -math.inf
        self._barred_until = -math.inf

    def __repr__(self) -> str:
        return f"the runs of compartment {self.id}"

    def measured(self, pages: float, now: float) -> None:
        """A round of lists took so many pages, or as much as they do."""
        self._pages = pages
        self._measured_at = now

    def bar(self, now: float) -> None:
        """The service does not let us list here."""
        self._barred_until = now + FORGET_AFTER
        self.listing = False
        self.failures = 0

    def choose(
        self, period: float, gets_per_second: float, page_in_gets: float, page_size: int, now: float
    ) -> None:
        """List, or ask for one by one.

        :param period: seconds between two rounds of lists.
        :param gets_per_second: what asking one by one takes.
        :param page_in_gets: what a page costs, in GetRuns.
        """
        if now < self._barred_until or math.isinf(period):
            self.listing = False
            return
        pages = self._pages
        if pages is None or now - self._measured_at > FORGET_AFTER:
            pages = math.ceil(len(self.watches) / page_size)
        lists = pages * page_in_gets / max(period, 1e-3)
        if self.listing:
            self.listing = lists * HYSTERESIS < gets_per_second
        else:
            self.listing = lists < gets_per_second * HYSTERESIS
