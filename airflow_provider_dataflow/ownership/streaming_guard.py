"""Guard of a streaming application, which must have one live run only: two would corrupt its checkpoint."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.ownership.successor import (
    STREAMING,
    may_have_successor,
    seconds_left,
    stop_reason,
)
from airflow_provider_dataflow.ownership.tags import token_of

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.models.run_request import RunRequest

#: Newest runs of the application that are searched for a live one.
MAX_RUNS_SEARCHED = 20


def awaits_successor(run: Run, successor_timeout: float) -> bool:
    """Return whether the service may still start the successor of a run."""
    return may_have_successor(run) and seconds_left(run, successor_timeout, time.time()) > 0


class StreamingGuard:
    """Finds the run that keeps a task from submitting another one.

    :param hook: of the task's connection.
    :param request: the run that the task wants.
    :param successor_timeout: seconds from the end of a run in which its successor may appear.
    """

    def __init__(self, hook: DataFlowHook, request: RunRequest, successor_timeout: float) -> None:
        self._hook = hook
        self._request = request
        self._successor_timeout = successor_timeout
        self._is_streaming: bool | None = None
        self.cancelled_run_id: str | None = None
        """OCID of a run that the task itself has cancelled, so that it has no successor."""

    def find(self, token: str) -> tuple[Run, str] | None:
        """Return a live run of the application, or the last one if its successor may appear; and the reason.

        :param token: of the submit. If it has created a run, the service returns that run once more, so None.
        :raises ServiceError: the runs cannot be listed.
        """
        application_id = self._request.effective_application_id
        if application_id is None or not self._runs_stream(application_id):
            return None
        listed = self._hook.list_runs(self._request.compartment_id, application_id=application_id)
        runs = [run for run in islice(listed, MAX_RUNS_SEARCHED) if run.type == STREAMING]
        if any(token_of(run.freeform_tags) == token for run in runs):
            return None
        for run in runs:
            if not run.is_terminal:
                return run, f"run {run.id} of the streaming application {application_id} is {run.state}"
        for run in runs[:1]:
            if run.id != self.cancelled_run_id and awaits_successor(run, self._successor_timeout):
                reason = (
                    f"run {run.id} of the streaming application {application_id} was stopped "
                    f"{stop_reason(run)}"
                )
                return run, reason
        return None

    @property
    def is_known_to_stream(self) -> bool:
        """False also if the application cannot be read."""
        return self._request.type == STREAMING or self._is_streaming is True

    def _runs_stream(self, application_id: str) -> bool:
        if self._request.type is not None:
            return self._request.type == STREAMING
        if self._is_streaming is None:
            try:
                self._is_streaming = self._hook.applications.get(application_id).type == STREAMING
            except ServiceError as error:
                if not error.may_be_stray:
                    raise
                # The task may be allowed to submit but not to read the application. Its runs tell, too.
                return True
        return self._is_streaming
