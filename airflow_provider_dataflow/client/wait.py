"""Waiting for a run where the process has nothing else to do: in a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from logging import Logger
from typing import Any

from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import RunLost, RunTimedOut, ServiceError
from airflow_provider_dataflow.models.run import Run, has_reached
from airflow_provider_dataflow.polling import (
    DEFAULT_ERROR_BUDGET,
    ErrorBudget,
    Heartbeat,
    jittered,
)


def wait_for_run(
    client: DataFlowClient,
    run_id: str,
    *,
    states: Collection[str],
    poll_interval: float,
    check: Callable[[], None],
    log: Logger | Any,
    error_budget: float = DEFAULT_ERROR_BUDGET,
    until: float | None = None,
    last_state: str | None = None,
    each_look: Callable[[], None] | None = None,
) -> Run:
    """Ask until the run is in one of the states, or has ended.

    :param check: called every second; raises to end the wait.
    :param log: of changes of state, and of errors that are borne.
    :param until: seconds since the epoch at which to give up. A run that has ended by then has ended in time.
    :param last_state: the state that is known already, which is not reported as a change.
    :param each_look: called after every look at a run that goes on.
    :raises RunLost: errors of the service outlast the budget.
    :raises RunTimedOut: it is past ``until``.
    """
    budget = ErrorBudget(error_budget)
    heartbeat = Heartbeat(time.monotonic())
    while True:
        check()
        try:
            run = client.get_run(run_id)
        except ServiceError as error:
            if not budget.failing:
                log.warning("Waiting on for run %s although %s", run_id, error)
            if budget.failure(error, time.monotonic()):
                raise RunLost(
                    run_id=run_id, state=last_state, opc_request_id=error.opc_request_id, note=str(error)
                ) from None
        else:
            if budget.success():
                log.info("Run %s is in sight again", run_id)
            if run.state != last_state:
                last_state = run.state
                log.info("Run %s is %s", run_id, run.state)
            if has_reached(run.state, states) or run.is_terminal:
                return run
        if until is not None and time.time() >= until:
            raise RunTimedOut(run_id=run_id, state=last_state)
        if heartbeat.is_due(time.monotonic()):
            log.info("Run %s is %s", run_id, f"still {last_state}" if last_state else "not seen yet")
        if each_look is not None:
            each_look()
        pause = jittered(poll_interval)
        nap(pause if until is None else min(pause, max(until - time.time(), 0)), check)


def nap(seconds: float, check: Callable[[], None]) -> None:
    """Sleep, but see within a second when the task is killed."""
    # In short naps, since a signal handler that only sets a flag does not end a long one.
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        check()
