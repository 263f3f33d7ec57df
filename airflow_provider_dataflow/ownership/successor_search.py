"""Search for the successor of a STREAMING run, in workers and in the triggerer; see ``successor``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_dataflow.client.cancel import CancelResult, cancel_run
from airflow_provider_dataflow.client.wait import sleep
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import LifecycleState, Run
from airflow_provider_dataflow.ownership.successor import (
    may_have_successor,
    seconds_left,
    stop_reason,
    successors_among,
)
from airflow_provider_dataflow.polling import DEFAULT_CANCEL_TIMEOUT_SECONDS, ErrorBudget, jittered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.sync_client import DataFlowClient

log = logging.getLogger(__name__)

#: Newest runs of the application that are searched.
MAX_RUNS_SEARCHED = 100


class ListsRuns(Protocol):
    """The hook or its client."""

    def list_runs(self, compartment_id: str, **filters: str) -> Iterator[Run]: ...


def follows(run: Run, target_states: Collection[str]) -> bool:
    """Return whether a wait for these states continues with the successor of a run."""
    return LifecycleState.STOPPED not in target_states and may_have_successor(run)


def find_successors(client: ListsRuns, stopped: Run) -> list[Run]:
    """Return the runs that followed a run, oldest first. They are summaries. Blocks.

    :raises ServiceError: the runs cannot be listed.
    """
    if stopped.compartment_id is None or stopped.application_id is None:
        return []
    runs = client.list_runs(stopped.compartment_id, application_id=stopped.application_id)
    return successors_among(stopped, islice(runs, MAX_RUNS_SEARCHED))


async def find_successors_async(client: AsyncDataFlowClient, stopped: Run) -> list[Run]:
    """Do the same in the triggerer."""
    if stopped.compartment_id is None or stopped.application_id is None:
        return []
    page = await client.list_runs_page(
        stopped.compartment_id, limit=MAX_RUNS_SEARCHED, application_id=stopped.application_id
    )
    return successors_among(stopped, map(Run.from_api, page.rows))


class SuccessorWait:
    """Wait for the successor of a run that was STOPPED. It searches at least once.

    :param stopped: the run.
    :param timeout: seconds from the end of the run for which a successor may appear.
    :param poll_interval: seconds between two searches.
    :param error_budget: seconds for which service errors are retried, also after the timeout.
    :param log: the task's logger.
    :param deadline: seconds since the epoch at which to raise TimeoutError instead. Default: never.
    """

    def __init__(
        self,
        stopped: Run,
        *,
        timeout: float,
        poll_interval: float,
        error_budget: float,
        log: Any,
        deadline: float | None = None,
    ) -> None:
        self._stopped = stopped
        self._timeout = timeout
        self._poll_interval = poll_interval
        self._budget = ErrorBudget(error_budget)
        self._log = log
        self._deadline = deadline
        self._error: ServiceError | None = None
        left = max(seconds_left(stopped, timeout, time.time()), 0)
        self._until = time.monotonic() + left
        log.info(
            "Run %s was stopped %s; waiting up to %.0f s for its successor",
            stopped.id,
            stop_reason(stopped),
            left,
        )

    @property
    def note(self) -> str:
        """Why the wait ended without a successor."""
        error = f" {self._error}" if self._error else ""
        return f"No successor appeared within {self._timeout:g} seconds (successor_timeout).{error}"

    def in_worker(self, client: ListsRuns, raise_if_killed: Callable[[], None]) -> list[Run]:
        """Search until a successor has appeared; return all successors, oldest first, or none. Blocks.

        :param raise_if_killed: called every second; raises if the task was killed.
        :raises TimeoutError: the deadline has passed.
        """
        while True:
            try:
                found = find_successors(client, self._stopped)
            except ServiceError as error:
                self._failed(error)
            else:
                if self._is_over(found):
                    return found
            if self._gave_up():
                return []
            sleep(self._pause(), raise_if_killed)

    async def in_triggerer(self, search: Callable[[], Awaitable[list[Run]]]) -> list[Run]:
        """Do the same in the triggerer.

        :param search: returns the successors that exist.
        :raises TimeoutError: the deadline has passed.
        """
        while True:
            try:
                found = await search()
            except ServiceError as error:
                self._failed(error)
            else:
                if self._is_over(found):
                    return found
            if self._gave_up():
                return []
            await asyncio.sleep(self._pause())

    def _failed(self, error: ServiceError) -> None:
        if self._error is None:
            self._log.warning("Run %s: cannot search its successor, retrying: %s", self._stopped.id, error)
        self._error = error
        self._budget.failure(error, time.monotonic())

    def _is_over(self, found: list[Run]) -> bool:
        self._error = None
        self._budget.success()
        if found:
            self._log.info(
                "Run %s is the successor of run %s and is %s", found[-1].id, self._stopped.id, found[-1].state
            )
        return bool(found)

    def _gave_up(self) -> bool:
        now = time.monotonic()
        if self._deadline is not None and time.time() >= self._deadline:
            raise TimeoutError
        if now < self._until or (self._error is not None and self._budget.left(self._error, now) > 0):
            return False
        self._log.warning("Run %s: %s", self._stopped.id, self.note)
        return True

    def _pause(self) -> float:
        pause = jittered(self._poll_interval)
        if (left := self._until - time.monotonic()) > 0:
            pause = min(pause, left)
        return pause if self._deadline is None else min(pause, max(self._deadline - time.time(), 0))


def cancel_current_run(
    connect: Callable[[], DataFlowClient], run_id: str, *, timeout: float = DEFAULT_CANCEL_TIMEOUT_SECONDS
) -> CancelResult:
    """Cancel a run, or its live successor after maintenance. Never raises; see ``cancel_run``.

    A successor that starts later is not cancelled.
    """
    result = cancel_run(connect, run_id, timeout=timeout)
    if result.run is None or not may_have_successor(result.run):
        return result
    try:
        found = find_successors(connect(), result.run)
    except Exception as error:  # noqa: BLE001 - reported in the result
        return CancelResult(run_id, error=error)
    if not found:
        log.warning("Run %s was stopped already; if the service starts a successor, cancel it", run_id)
        return result
    return result if found[-1].is_terminal else cancel_run(connect, found[-1].id, timeout=timeout)
