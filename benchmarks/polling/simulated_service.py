"""Simulate Data Flow for the poller, without a network: runs with known end times, and counts of requests."""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from airflow_provider_dataflow.client.async_client import RunPage
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import LifecycleState, Run
from airflow_provider_dataflow.polling import MAX_REQUESTS_PER_SECOND

#: Default for the service's time when the loop's time is 0, in seconds since 1970.
EPOCH = 1_767_225_600.0
COMPARTMENT = "ocid1.compartment.oc1..simulated"


@dataclass(frozen=True)
class SimulatedRun:
    """Times are on the loop's clock.

    :param epoch: the service's time when the loop's time is 0.
    :param end: the state after ``ended``.
    """

    id: str
    created: float
    started: float
    ended: float
    end: str = LifecycleState.SUCCEEDED
    application: str = "ocid1.dataflowapplication.oc1.iad.a"
    compartment: str = COMPARTMENT
    epoch: float = EPOCH

    def state(self, now: float) -> str:
        if now >= self.ended:
            return self.end
        return LifecycleState.IN_PROGRESS if now >= self.started else LifecycleState.ACCEPTED

    @property
    def time_created(self) -> str:
        return _rfc3339(self.epoch + self.created)

    def body(self, now: float) -> dict[str, Any]:
        changed = self.ended if now >= self.ended else self.started if now >= self.started else self.created
        return {
            "id": self.id,
            "lifecycleState": self.state(now),
            "compartmentId": self.compartment,
            "applicationId": self.application,
            "displayName": "simulated",
            "timeCreated": self.time_created,
            "timeUpdated": _rfc3339(self.epoch + changed),
        }


@lru_cache(100_000)
def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


class SimulatedService:
    """Service and client in one: has the methods of AsyncDataFlowClient that the poller calls.

    :param get_seconds: duration of GetRun.
    :param page_seconds: duration of one page of ListRuns.
    :param epoch: time of the service when the loop's time is 0, in seconds since 1970.
    """

    access = None

    def __init__(self, get_seconds: float = 0.05, page_seconds: float = 0.2, epoch: float = EPOCH) -> None:
        self.epoch = epoch
        self.rate_limit = RateLimit(MAX_REQUESTS_PER_SECOND)
        self.runs: dict[str, SimulatedRun] = {}
        self.get_seconds = get_seconds
        self.page_seconds = page_seconds
        self.requests: Counter[str] = Counter()
        #: GetRun requests by run id.
        self.polls: Counter[str] = Counter()
        self.sent_at: list[float] = []
        #: Requests in flight, their maximum so far, and how often the client was closed.
        self.at_once = self.most_at_once = self.closed = 0
        #: Errors to raise for the next requests of an operation.
        self.errors: dict[str, list[Exception]] = {}
        #: Ids of runs that ListRuns leaves out.
        self.unlisted: set[str] = set()
        self._newest_first: list[tuple[float, str]] = []
        self._numbers = itertools.count()

    def add(
        self, ended: float, *, created: float = 0.0, accepted: float = 5.0, **fields: Any
    ) -> SimulatedRun:
        """Add a run that ends ``ended`` seconds after its creation."""
        id = f"ocid1.dataflowrun.oc1.iad.{next(self._numbers):06}"
        started = min(created + accepted, created + ended)
        run = SimulatedRun(id, created, started, created + ended, epoch=self.epoch, **fields)
        self.runs[id] = run
        bisect.insort(self._newest_first, (-created, id))
        return run

    def remove(self, run: SimulatedRun) -> None:
        """Forget a run, so that a long simulation does not slow down."""
        del self.runs[run.id]
        del self._newest_first[bisect.bisect_left(self._newest_first, (-run.created, run.id))]

    def now(self) -> float:
        """Return the time of the service, in seconds since 1970."""
        return self.epoch + asyncio.get_running_loop().time()

    async def make(self) -> Any:
        return self

    async def get_run(self, run_id: str) -> Run:
        self.polls[run_id] += 1
        await self._send("GetRun", self.get_seconds)
        if run_id not in self.runs:
            raise ServiceError(operation="GetRun", status=404, code="NotAuthorizedOrNotFound", message="none")
        return Run.from_api(self.runs[run_id].body(asyncio.get_running_loop().time()))

    async def list_runs_page(
        self, compartment_id: str, *, limit: int, page: str | None = None, **filters: str
    ) -> RunPage:
        if len(filters) > 1:
            raise ServiceError(
                operation="ListRuns", status=400, code="InvalidParameter", message="one filter"
            )
        await self._send("ListRuns", self.page_seconds)
        now = asyncio.get_running_loop().time()
        begin = int(page or 0)
        found = []
        for _, id in self._newest_first:
            run = self.runs[id]
            if run.created > now or run.compartment != compartment_id or id in self.unlisted:
                continue
            if _matches(run, filters, now):
                found.append(run)
                if len(found) > begin + limit:
                    break
        rows = [run.body(now) for run in found[begin : begin + limit]]
        return RunPage(rows, str(begin + limit) if len(found) > begin + limit else None)

    async def close(self) -> None:
        self.closed += 1

    async def _send(self, operation: str, seconds: float) -> None:
        self.requests[operation] += 1
        self.sent_at.append(asyncio.get_running_loop().time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.at_once -= 1
        if self.errors.get(operation):
            raise self.errors[operation].pop(0)


def _matches(run: SimulatedRun, filters: Mapping[str, str], now: float) -> bool:
    for name, value in filters.items():
        if name == "lifecycle_state" and run.state(now) != value:
            return False
        if name == "application_id" and run.application != value:
            return False
        if name == "time_created_greater_than" and run.time_created <= value:
            return False
    return True
