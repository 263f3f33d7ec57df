"""Cancel a run: request it, repeat the request after errors, and check that the run is ending.

Blocks. For workers, and for threads of the triggerer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.polling import DEFAULT_CANCEL_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.models.run import Run

log = logging.getLogger(__name__)

#: Pauses between two requests.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 5.0


@dataclass(frozen=True)
class CancelResult:
    """Outcome of a cancel. ``str()`` of it is a sentence for a log or an error message.

    :param run_id: OCID of the run.
    :param run: the run, ending or ended, if the service confirmed the cancel.
    :param error: why the service did not confirm it; the run may still be running.
    """

    run_id: str
    run: Run | None = None
    error: Exception | None = None

    @property
    def confirmed(self) -> bool:
        return self.run is not None

    def confirmed_run(self) -> Run:
        """Return the run, ending or ended.

        :raises Exception: the service did not confirm the cancel.
        """
        if self.run is None:
            raise self.error or AssertionError("neither a run nor an error")
        return self.run

    @property
    def note(self) -> str:
        """The outcome in words, without the run id."""
        if self.run is not None:
            return f"cancel requested, it is {self.run.state}"
        return f"could not be cancelled and may still be running: {self.error}"

    def __str__(self) -> str:
        return f"Run {self.run_id}: {self.note}"


def cancel_run(
    connect: Callable[[], DataFlowClient], run_id: str, *, timeout: float = DEFAULT_CANCEL_TIMEOUT_SECONDS
) -> CancelResult:
    """Cancel a run and wait until the service reports it as ending. A run that has ended stays as it is.

    Never raises an ``Exception``: a cancel is a last resort, and must not hide the reason for it. All service
    errors are retried until the timeout, 404 included, since a new run may not be visible yet.

    :param connect: returns a client. Called first, so that a bad connection is part of the result.
    :param timeout: seconds after which no further request is sent.
    """
    try:
        return CancelResult(run_id, _request_until_confirmed(connect(), run_id, timeout))
    except Exception as error:  # noqa: BLE001 - reported in the result
        return CancelResult(run_id, error=error)


def _request_until_confirmed(client: DataFlowClient, run_id: str, timeout: float) -> Run:
    until = time.monotonic() + timeout
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            client.cancel_run(run_id)
            run = client.get_run(run_id)
            if run.is_ending:
                return run
            error = ServiceError(
                operation="DeleteRun", message=f"run {run_id} is still {run.state} after its cancel"
            )
        except ServiceError as caught:
            error = caught
        if time.monotonic() + pause >= until:
            raise error
        log.warning("Run %s: retrying its cancel in %.1f s: %s", run_id, pause, error)
        time.sleep(pause)
        pause = min(pause * 2, MAX_PAUSE_SECONDS)
