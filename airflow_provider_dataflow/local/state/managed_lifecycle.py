"""Base of the life cycles of resources whose changes take time and have work requests."""

from __future__ import annotations

from airflow_provider_dataflow.local.http.messages import ApiError
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.store import Record
from airflow_provider_dataflow.local.state.transitions import Transitions, is_settled
from airflow_provider_dataflow.local.state.work_requests import WorkRequests


class ManagedLifecycle:
    """Changes of one kind of resource.

    Subclasses create ``transitions`` and call :meth:`finish_if_settled` in each new state.
    """

    #: Name of the resource in error messages, and in the operations of work requests.
    noun: str
    work_request_noun: str
    #: Type of the resource in its work requests. Default: the noun in lower case.
    work_request_resource_type: str | None = None
    transitions: Transitions

    def __init__(self, options: Options, work_requests: WorkRequests) -> None:
        self._options = options
        self._work_requests = work_requests

    def _begin(self, verb: str, record: Record, path: str) -> str:
        operation = f"{verb}_{self.work_request_noun}"
        return self._work_requests.begin(operation, record, path, self.work_request_resource_type)

    def _go(self, record: Record, *states: str) -> None:
        self.transitions.start(record, self._options.transition_seconds, *states)

    def _check_state(self, record: Record, what: str, *states: str) -> None:
        state = record.body["lifecycleState"]
        if state not in states:
            # The SDK retries IncorrectState, so return it only for transitional states.
            code = "Conflict" if is_settled(record) else "IncorrectState"
            raise ApiError(409, code, f"A {self.noun} that is {state} cannot be {what}.")

    def finish_if_settled(self, record: Record) -> None:
        """End the work request of a resource that has reached its last state."""
        if is_settled(record):
            self._work_requests.finish(record)
