"""The one way to cancel a run: ask, ask again where that failed, and see that it is ending.

Blocks; for workers, and for threads of the triggerer.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from airflow_provider_dataflow.exceptions import ServiceError

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.models.run import Run

log = logging.getLogger(__name__)

#: Seconds. Airflow kills a worker's process 5 s after it asked it to end, and a trigger after 30.
DEFAULT_CANCEL_TIMEOUT = 25.0
FIRST_PAUSE, MAX_PAUSE = 0.5, 5.0


def cancel(client: DataFlowClient, run_id: str, *, timeout: float = DEFAULT_CANCEL_TIMEOUT) -> Run:
    """Cancel a run and see to it that the service has taken it in. A run that has ended is left as it is.

    Every error is borne as long as there is time, 404 too: a run that was just created may not be known yet.

    :param timeout: seconds after which no further attempt is begun.
    :return: the run, ending or ended.
    :raises ServiceError: the service did not confirm in time; the run may still be running.
    """
    until = time.monotonic() + timeout
    pause = FIRST_PAUSE
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
        log.warning("Cancelling run %s again: %s", run_id, error)
        time.sleep(pause)
        pause = min(pause * 2, MAX_PAUSE)
