"""Find conflicting runs: of all runs with private endpoints, only those of one application succeed at a time.

The guard searches for such a run before a submit and again after it, since two tasks may submit at the same
moment. Then the run that was created later is cancelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import KNOWN_STATES, TERMINAL_STATES

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run


@dataclass
class PrivateEndpointGuard:
    """Searches for runs that conflict with an application's.

    :param hook: of the task's connection.
    :param application_id: OCID of the application to run.
    :param compartment_ids: OCIDs of the compartments to search.
    """

    hook: DataFlowHook
    application_id: str
    compartment_ids: Sequence[str]
    _endpoints: dict[str, str | None] = field(default_factory=dict, init=False)

    def conflicting_run(self, own: Run | None = None) -> Run | None:
        """Return an active run of another application with a private endpoint.

        :param own: the run that was submitted already: only runs created before it conflict.
        :raises ServiceError: the runs could not be listed.
        """
        if self._private_endpoint(self.application_id) is None:
            return None
        for run in self._active_runs():
            if run.application_id in (None, self.application_id):
                continue
            if own is not None and _creation_order(run) >= _creation_order(own):
                continue
            if self._private_endpoint(str(run.application_id)) is not None:
                return run
        return None

    def _active_runs(self) -> Iterator[Run]:
        for compartment_id in self.compartment_ids:
            for state in sorted(KNOWN_STATES - TERMINAL_STATES):
                yield from self.hook.list_runs(compartment_id, lifecycle_state=state)

    def _private_endpoint(self, application_id: str) -> str | None:
        if application_id not in self._endpoints:
            try:
                endpoint = self.hook.applications.get(application_id).private_endpoint_id
            except ServiceError as error:
                # Another application that was deleted, or that this identity may not read.
                if error.status != 404 or application_id == self.application_id:
                    raise
                endpoint = None
            self._endpoints[application_id] = endpoint
        return self._endpoints[application_id]


def _creation_order(run: Run) -> tuple[float, str]:
    return (run.time_created.timestamp() if run.time_created else 0.0, run.id)
