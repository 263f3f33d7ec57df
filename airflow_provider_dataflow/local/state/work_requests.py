"""Work requests: progress of changes that take time."""

from __future__ import annotations

from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.clock import Timeline, rfc3339
from airflow_provider_dataflow.local.state.live_runs import live_runs_of_application
from airflow_provider_dataflow.local.state.ocids import ocid
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.store import APPLICATIONS, WORK_REQUESTS, Record, Store
from airflow_provider_dataflow.local.state.transitions import Transitions

# Key in a resource's internal fields: id of the work request of the change in progress.
_OPEN = "workRequest"
_DONE = {"CREATE": "CREATED", "DELETE": "DELETED"}


class WorkRequests:
    """A work request lasts from a change of a resource until the resource has reached its last state."""

    def __init__(self, store: Store, timeline: Timeline, options: Options) -> None:
        self._store = store
        self._timeline = timeline
        self._options = options
        self.transitions = Transitions(
            store, WORK_REQUESTS, timeline=timeline, entered=self._entered, state_field="status"
        )

    def begin(self, operation: str, resource: Record, path: str, resource_type: str | None = None) -> str:
        """Create a work request, and keep its id in the resource, which the caller stores afterwards.

        :param operation: for example ``CREATE_PRIVATE_ENDPOINT``.
        :param path: path of the resource below the API version.
        :param resource_type: Default: the operation without its verb, in lower case.
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
                    "resourceType": resource_type or operation.partition("_")[2].lower(),
                    "resourceUri": path,
                    "workRequestid": id_,
                }
            ],
            "status": None,
            "timeAccepted": rfc3339(self._timeline.now()),
            "timeStarted": None,
            "timeFinished": None,
        }
        resource.internal[_OPEN] = id_
        record = Record(body, {"logs": []})
        self.transitions.start(record, self._options.transition_seconds / 2, "ACCEPTED", "INPROGRESS")
        return id_

    def finish(self, resource: Record) -> None:
        """End the work request of a resource that has reached its last state."""
        id_ = resource.internal.pop(_OPEN, None)
        record = self._store.get(WORK_REQUESTS, id_) if id_ is not None else None
        if record is not None:
            self.transitions.start(record, 0, "SUCCEEDED")

    def fail(self, resource: Record, message: str) -> None:
        """End the work request of a resource that could not reach its last state."""
        id_ = resource.internal.pop(_OPEN, None)
        record = self._store.get(WORK_REQUESTS, id_) if id_ is not None else None
        if record is not None:
            error = {"code": "InternalError", "message": message, "timestamp": rfc3339(self._timeline.now())}
            record.internal["errors"] = [error]
            self.transitions.start(record, 0, "FAILED")

    def of_resource(self, resource_id: str) -> list[Record]:
        """Return the work requests of a resource, newest first."""
        found = [
            record
            for record in self._store.select(WORK_REQUESTS)
            if record.body["resources"][0]["resourceId"] == resource_id
        ]
        return found[::-1]

    def run_ended(self, application_id: str) -> None:
        """End the deletion of an application if this was its last run."""
        application = self._store.get(APPLICATIONS, application_id)
        if application is None or _OPEN not in application.internal:
            return
        if not live_runs_of_application(self._store, application_id):
            self.finish(application)
            self._store.update_internal(APPLICATIONS, application)

    def _entered(self, record: Record) -> None:
        body, moment = record.body, rfc3339(self._timeline.now())
        status, operation = body["status"], body["operation"]
        record.internal["logs"].append({"message": f"{operation} is {status}.", "timestamp": moment})
        if status != "ACCEPTED":
            body["timeStarted"] = body["timeStarted"] or moment
            body["percentComplete"] = 50.0
        if status in ("SUCCEEDED", "FAILED"):
            body.update(timeFinished=moment, percentComplete=100.0)
            done = _DONE.get(operation.partition("_")[0], "UPDATED")
            for resource in body["resources"]:
                resource["actionType"] = done if status == "SUCCEEDED" else "FAILED"
