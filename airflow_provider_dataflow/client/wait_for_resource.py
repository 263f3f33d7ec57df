"""Waiting for what is not a run, in a worker and in the triggerer: one judgement, two loops."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from logging import Logger
from typing import Any, TypeVar

from airflow_provider_dataflow.client.wait import nap
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.polling import (
    DEFAULT_ERROR_BUDGET,
    LAST_POLL_SECONDS,
    ErrorBudget,
    Heartbeat,
    jittered,
)

R = TypeVar("R", bound=Resource)


class OutOfTime(DataFlowError):
    """It is past the moment at which the wait was to end."""


class OutOfSight(DataFlowError):
    """Errors of the service have outlasted the budget."""


@dataclass
class Watch:
    """One wait.

    :param about: what is waited for, for the log: ``Pool ocid1...``.
    :param is_over: tells the state that ends the wait.
    :param poll_interval: seconds between two looks.
    :param until: seconds since the epoch at which to give up; default: never.
    :param error_budget: seconds for which errors of the service are borne.
    :param log: of changes of state, and of errors that are borne.
    """

    about: str
    is_over: Callable[[str], bool]
    poll_interval: float
    log: Logger | Any
    until: float | None = None
    error_budget: float = DEFAULT_ERROR_BUDGET
    state: str | None = None
    _budget: ErrorBudget = field(init=False)
    _heartbeat: Heartbeat = field(init=False)
    _last_error: ServiceError | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._budget = ErrorBudget(self.error_budget)
        self._heartbeat = Heartbeat(time.monotonic())

    def in_worker(self, look: Callable[[], R], check: Callable[[], None]) -> R:
        """Look until the wait is over.

        :param check: called every second; raises to end the wait.
        :raises OutOfTime: it is past ``until``.
        :raises OutOfSight: the error budget is used up.
        """
        while True:
            check()
            try:
                found = look()
            except ServiceError as error:
                self._failed(error)
            else:
                if self._is_the_last(found):
                    return found
            nap(self._pause(), check)

    async def in_triggerer(self, look: Callable[[], Awaitable[R]]) -> R:
        """As :meth:`in_worker`, on an event loop."""
        while True:
            # At the pace of all, which may be slower than there is time.
            limit = asyncio.timeout(self._left())
            try:
                async with limit:
                    found = await look()
            except TimeoutError:
                if not limit.expired():
                    raise
                self._raise_if_lost()
                raise OutOfTime(f"{self.about} is {self.state or 'not seen yet'}") from None
            except ServiceError as error:
                self._failed(error)
            else:
                if self._is_the_last(found):
                    return found
            await asyncio.sleep(self._pause())

    def _is_the_last(self, found: Resource) -> bool:
        if self._budget.success():
            self.log.info("%s is in sight again", self.about)
        state: str = found.state  # type: ignore[attr-defined]
        if state != self.state:
            self.state = state
            self.log.info("%s is %s", self.about, state)
        return self.is_over(state)

    def _failed(self, error: ServiceError) -> None:
        if not self._budget.failing:
            self.log.warning("Waiting on for %s although %s", self.about, error)
        self._budget.failure(error, time.monotonic())
        self._last_error = error
        self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        error = self._last_error
        if self._budget.failing and error and self._budget.left(error, time.monotonic()) <= 0:
            raise OutOfSight(str(error)) from None

    def _left(self) -> float | None:
        """Seconds for a look. However late it is, one is awaited so long."""
        left = math.inf if self.until is None else self.until - time.time()
        if self._budget.failing and self._last_error:
            left = min(left, self._budget.left(self._last_error, time.monotonic()))
        return None if left == math.inf else max(left, LAST_POLL_SECONDS)

    def _pause(self) -> float:
        pause = jittered(self.poll_interval)
        if self.until is not None:
            left = self.until - time.time()
            if left <= 0:
                raise OutOfTime(f"{self.about} is {self.state or 'not seen yet'}")
            pause = min(pause, left)
        if self._heartbeat.is_due(time.monotonic()):
            self.log.info("%s is %s", self.about, f"still {self.state}" if self.state else "not seen yet")
        return pause
