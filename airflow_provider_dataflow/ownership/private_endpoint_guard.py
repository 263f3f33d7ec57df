"""Of runs of different applications with private endpoints, the service lets one at a time succeed.

The guard sees whether another such run is under way before a run is submitted, and once more after, since two
tasks may have looked at the same moment; then the run that was created later is taken back.
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
    """Looks for rivals of an application's runs.

    :param hook: of the task's connection.
    :param application_id: OCID of the application that is to be run.
    :param compartment_ids: OCIDs of the compartments to look into.
    """

    hook: DataFlowHook
    application_id: str
    compartment_ids: Sequence[str]
    _endpoints: dict[str, str | None] = field(default_factory=dict, init=False)

    def rival(self, own: Run | None = None) -> Run | None:
        """A run under way that this application's would get into a conflict with.

        :param own: the run that was submitted already: only those that were created before it count.
        :raises ServiceError: the service could not be asked.
        """
        if self._private_endpoint(self.application_id) is None:
            return None
        for run in self._under_way():
            if run.application_id in (None, self.application_id):
                continue
            if own is not None and _age(run) >= _age(own):
                continue
            if self._private_endpoint(str(run.application_id)) is not None:
                return run
        return None

    def _under_way(self) -> Iterator[Run]:
        for compartment_id in self.compartment_ids:
            for state in sorted(KNOWN_STATES - TERMINAL_STATES):
                yield from self.hook.list_runs(compartment_id, lifecycle_state=state)

    def _private_endpoint(self, application_id: str) -> str | None:
        if application_id not in self._endpoints:
            try:
                endpoint = self.hook.applications.get(application_id).private_endpoint_id
            except ServiceError as error:
                # Another's application that was deleted, or that may not be seen: nothing is known of it.
                if error.status != 404 or application_id == self.application_id:
                    raise
                endpoint = None
            self._endpoints[application_id] = endpoint
        return self._endpoints[application_id]


def _age(run: Run) -> tuple[float, str]:
    return (run.time_created.timestamp() if run.time_created else 0.0, run.id)
