"""Waiting for a run where the process has nothing else to do: in a worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from airflow_provider_dataflow.client.sync import DataFlowClient
from airflow_provider_dataflow.exceptions import RunLost, ServiceError
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, ErrorBudget, jittered
from airflow_provider_dataflow.run import Run, has_reached

log = logging.getLogger(__name__)


def wait_for_run(
    client: DataFlowClient,
    run_id: str,
    *,
    states: Collection[str],
    poll_interval: float,
    check: Callable[[], None],
    error_budget: float = DEFAULT_ERROR_BUDGET,
    on_change: Callable[[Run], None] | None = None,
    last_state: str | None = None,
) -> Run:
    """Ask until the run is in one of the states, or has ended.

    :param check: called every second; raises to end the wait.
    :param last_state: the state that is known already, which is not reported as a change.
    :raises RunLost: errors of the service outlast the budget.
    """
    budget = ErrorBudget(error_budget)
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
                ) from error
        else:
            budget.success()
            if run.state != last_state:
                last_state = run.state
                if on_change:
                    on_change(run)
            if has_reached(run.state, states) or run.is_terminal:
                return run
        _sleep(jittered(poll_interval), check)


def _sleep(seconds: float, check: Callable[[], None]) -> None:
    # In short naps, since a signal handler that only sets a flag does not end a long one.
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        check()
