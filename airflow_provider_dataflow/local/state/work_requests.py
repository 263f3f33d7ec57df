"""Work requests: how far has come what takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.ocids import ocid
from airflow_provider_dataflow.local.state.store import APPLICATIONS, RUNS, WORK_REQUESTS, Filter, Record
from airflow_provider_dataflow.local.state.transitions import Transitions
from airflow_provider_dataflow.models.run import is_terminal

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.state.lifecycle import Lifecycle

# Of the internal part of a resource: the work request that its present change belongs to.
_OPEN = "workRequest"
_DONE = {"CREATE": "CREATED", "DELETE": "DELETED"}


class WorkRequests:
    """A work request begins with a change of a resource and ends when that has reached its last state."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self.transitions = Transitions(
            lifecycle.store,
            WORK_REQUESTS,
            timeline=lifecycle.timeline,
            entered=self._entered,
            state_field="status",
        )

    def begin(self, operation: str, resource: Record, path: str) -> str:
        """To be called before the resource, which keeps the id, is stored.

        :param operation: as in ``CREATE_PRIVATE_ENDPOINT``
        :param path: the resource's path below the API's version
        """
        id_ = ocid("dataflowworkrequest")
        body: JSON = {
            "compartmentId": resource.body["compartmentId"],
            "id": id_,
            "operation": operation,
            "percentComplete": 0.0,
            "resources": [
                {
                    "actionType": "INPROGRESS",
                    "id": 1,
                    "resourceId": resource.id,
                    "resourceType": operation.partition("_")[2].lower(),
                    "resourceUri": path,
                    "workRequestid": id_,
                }
            ],
            "status": None,
            "timeAccepted": rfc3339(self._lifecycle.now()),
            "timeStarted": None,
            "timeFinished": None,
        }
        resource.internal[_OPEN] = id_
        record = Record(body, {"logs": []})
        seconds = self._lifecycle.options.transition_seconds
        self.transitions.go(record, seconds / 2, "ACCEPTED", "INPROGRESS")
        return id_

    def finish(self, resource: Record) -> None:
        """The resource has reached what was asked for."""
        id_ = resource.internal.pop(_OPEN, None)
        record = self._lifecycle.store.get(WORK_REQUESTS, id_) if id_ is not None else None
        if record is not None:
            self.transitions.go(record, 0, "SUCCEEDED")

    def run_ended(self, application_id: str) -> None:
        """The last run of an application that is being deleted may be gone."""
        store = self._lifecycle.store
        application = store.get(APPLICATIONS, application_id)
        if application is None or _OPEN not in application.internal:
            return
        runs = store.select(RUNS, [Filter("application_id", "=", application_id)])
        if all(is_terminal(run.body["lifecycleState"]) for run in runs):
            self.finish(application)
            store.update_internal(APPLICATIONS, application)

    def _entered(self, record: Record) -> None:
        body, moment = record.body, rfc3339(self._lifecycle.now())
        status, operation = body["status"], body["operation"]
        record.internal["logs"].append({"message": f"{operation} is {status}.", "timestamp": moment})
        if status != "ACCEPTED":
            body["timeStarted"] = body["timeStarted"] or moment
            body["percentComplete"] = 50.0
        if status == "SUCCEEDED":
            body.update(timeFinished=moment, percentComplete=100.0)
            for resource in body["resources"]:
                resource["actionType"] = _DONE.get(operation.partition("_")[0], "UPDATED")
