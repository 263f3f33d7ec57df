"""Operations of runs."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.applications import load_active, new_application
from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import Listing, page_headers
from airflow_provider_dataflow.local.api.request_bodies import (
    CHANGE_COMPARTMENT,
    CREATE_RUN,
    LATEST_SPARK_VERSION,
    UPDATE_RUN,
    check_properties,
)
from airflow_provider_dataflow.local.api.resources import (
    caller,
    check_related,
    identity_fields,
    load,
    load_for_change,
    load_related,
    resource,
)
from airflow_provider_dataflow.local.api.retry_tokens import create_once
from airflow_provider_dataflow.local.engines.base import MeteredEngine
from airflow_provider_dataflow.local.engines.shapes import DEFAULT_SHAPE, total_ocpus
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, Request, Response, Route, invalid
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.execute_string import fill_in, parse_execute
from airflow_provider_dataflow.local.state.live_runs import live_runs_of_application
from airflow_provider_dataflow.local.state.maintenance import STREAMING
from airflow_provider_dataflow.local.state.options import EndedRunDelete
from airflow_provider_dataflow.local.state.private_endpoint_lifecycle import READY_STATES, RUN_FIELDS
from airflow_provider_dataflow.local.state.run_lifecycle import has_ended
from airflow_provider_dataflow.local.state.session_lifecycle import DEFAULT_IDLE_MINUTES, SESSION
from airflow_provider_dataflow.local.state.store import PRIVATE_ENDPOINTS, RUNS, Record
from airflow_provider_dataflow.models.run import LifecycleState as State

# Keys in a run's internal fields: the requests that created and cancelled it.
CREATED_BY, CANCELLED_BY = "createdBy", "cancelledBy"

FIELDS = (
    "archiveUri", "arguments", "applicationId", "applicationLogConfig", "className", "compartmentId",
    "configuration", "dataReadInBytes", "dataWrittenInBytes", "definedTags", "displayName", "driverShape",
    "driverShapeConfig", "execute", "executorShape", "executorShapeConfig", "fileUri", "freeformTags", "id",
    "language", "lifecycleDetails", "lifecycleState", "logsBucketUri", "metastoreId", "numExecutors",
    "opcRequestId", "ownerPrincipalId", "ownerUserName", "parameters", "poolId", "privateEndpointDnsZones",
    "privateEndpointMaxHostCount", "privateEndpointNsgIds", "privateEndpointId", "privateEndpointSubnetId",
    "runDurationInMilliseconds", "sparkVersion", "timeCreated", "timeUpdated", "totalOCpu", "type",
    "warehouseBucketUri", "maxDurationInMinutes", "idleTimeoutInMinutes",
)  # fmt: skip
SUMMARY_FIELDS = (
    "applicationId", "compartmentId", "dataReadInBytes", "dataWrittenInBytes", "definedTags", "displayName",
    "freeformTags", "id", "language", "lifecycleDetails", "lifecycleState", "opcRequestId",
    "ownerPrincipalId", "ownerUserName", "poolId", "runDurationInMilliseconds", "totalOCpu", "timeCreated",
    "timeUpdated", "type",
)  # fmt: skip
# Fields that a run takes from its application, unless its own details have them.
_INHERITED = (
    "applicationLogConfig", "archiveUri", "arguments", "className", "driverShape", "driverShapeConfig",
    "execute", "executorShape", "executorShapeConfig", "fileUri", "language", "logsBucketUri", "metastoreId",
    "numExecutors", "poolId", "privateEndpointId", "sparkVersion", "type", "warehouseBucketUri",
    "maxDurationInMinutes", "idleTimeoutInMinutes",
)  # fmt: skip
# The API reference: "If execute is specified together with applicationId, ..., the service will use derived
# information from execute only."
_OVERRIDDEN_BY_EXECUTE = frozenset({"applicationId", "arguments", "configuration", "parameters"})

LISTING = Listing(
    RUNS,
    filters={
        "applicationId": ("application_id", "="),
        "poolId": ("pool_id", "="),
        "ownerPrincipalId": ("owner", "="),
        "displayNameStartsWith": ("display_name", "prefix"),
        "lifecycleState": ("state", "="),
        "timeCreatedGreaterThan": ("time_created", ">"),
        "displayName": ("display_name", "="),
    },
    sorts={
        "timeCreated": "time_created",
        "displayName": "display_name",
        "language": "language",
        "runDurationInMilliseconds": "duration",
        "lifecycleState": "state",
        "totalOCpu": "total_ocpu",
        "dataReadInBytes": "bytes_read",
        "dataWrittenInBytes": "bytes_written",
    },
)


class RunsApi:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        yield Route("CreateRun", "POST", "/runs", self.create)
        yield Route("ListRuns", "GET", "/runs", self.list_page)
        yield Route("GetRun", "GET", "/runs/{run_id}", self.get)
        yield Route("UpdateRun", "PUT", "/runs/{run_id}", self.update)
        yield Route("DeleteRun", "DELETE", "/runs/{run_id}", self.delete)
        yield Route("ChangeRunCompartment", "POST", "/runs/{run_id}/actions/changeCompartment", self.move)

    def create(self, request: Request) -> Response:
        details = CREATE_RUN.read(request)
        if parent := request.headers.get("opc-parent-rpt-url"):
            request.notes["parentRptUrl"] = parent
        record = create_once(self.context, RUNS, request, lambda: self._create(request, details))
        return resource(record, self._body(record))

    def _create(self, request: Request, details: JSON) -> Record:
        if "applicationId" not in details and "execute" not in details:
            raise invalid("applicationId or execute must be given.")
        if "sparkVersion" in details and "execute" not in details:
            raise invalid("sparkVersion may only be given together with execute.")
        with self.context.store.transaction():
            if "execute" in details:
                application = new_application(self.context, request, _application_of(details))
                details = {k: v for k, v in details.items() if k not in _OVERRIDDEN_BY_EXECUTE}
            else:
                application = load_active(self.context, details["applicationId"])
            record = self._new_run(request, details, application)
            self._check_limits(record.body)
            self.context.lifecycle.submit(record)
        return record

    def _check_limits(self, run: JSON) -> None:
        """Check the limits on runs that have not ended.

        :raises ApiError: 400, too many runs in the compartment; 409, the streaming application has a run.
        """
        most = self.context.options.max_live_runs_per_compartment
        if (
            most is not None
            and self.context.lifecycle.live_runs.count_in_compartment(run["compartmentId"]) >= most
        ):
            message = f"The limit of {most} runs that have not ended is reached in this compartment."
            raise ApiError(400, "LimitExceeded", message)
        if run["type"] == STREAMING and self.context.options.one_run_per_streaming_application:
            for live in live_runs_of_application(self.context.store, run["applicationId"]):
                message = f"The streaming application has a run that has not ended: {live.id}."
                raise ApiError(409, "Conflict", message)

    def _endpoint_fields(self, private_endpoint_id: str | None) -> JSON:
        """Return the fields of a run that are copied from its private endpoint.

        :raises ApiError: 409, the private endpoint is being created or changed.
        """
        if private_endpoint_id is None:
            return {}
        endpoint = load_related(self.context, PRIVATE_ENDPOINTS, private_endpoint_id).body
        if endpoint["lifecycleState"] not in READY_STATES:
            message = f"The private endpoint of the application is {endpoint['lifecycleState']}."
            raise ApiError(409, "IncorrectState", message)
        return {name: endpoint[field] for name, field in RUN_FIELDS.items()}

    def _new_run(self, request: Request, details: JSON, application: Record) -> Record:
        base = application.body
        body: JSON = dict.fromkeys(FIELDS)
        body.update({k: base[k] for k in _INHERITED})
        body.update({"displayName": base["displayName"], "definedTags": {}, "freeformTags": {}})
        body.update(details)
        body.update(
            identity_fields(self.context, request, "dataflowrun"),
            applicationId=application.id,
            # These are merged with the defaults of the application.
            configuration={**(base["configuration"] or {}), **(details.get("configuration") or {})},
            parameters=_merge_parameters(base["parameters"] or [], details.get("parameters") or []),
            opcRequestId=request.notes.get("requestId"),
            totalOCpu=total_ocpus(body),
        )
        body.update(self._endpoint_fields(body["privateEndpointId"]))
        if body["type"] == SESSION and body["idleTimeoutInMinutes"] is None:
            body["idleTimeoutInMinutes"] = DEFAULT_IDLE_MINUTES
        check_properties(body["configuration"], self.context.options.forbidden_properties)
        check_related(self.context, body)
        # Refuse missing parameters now, so that the run does not fail later.
        hint = " With execute, parameters are ignored." if "execute" in details else ""
        fill_in(body["arguments"] or [], body["parameters"], hint)
        internal = {
            "submission": application.internal.get("submission", {}),
            CREATED_BY: self._describe(request),
        }
        return Record(body, internal)

    def _describe(self, request: Request) -> JSON:
        return {
            "time": rfc3339(self.context.lifecycle.now()),
            "user": caller(request).user,
            "userAgent": request.headers.get("user-agent"),
            "requestId": request.notes.get("requestId"),
            "retryToken": request.headers.get("opc-retry-token"),
        }

    def _body(self, record: Record) -> JSON:
        duration = self.context.lifecycle.duration(record, self.context.lifecycle.now())
        state = record.body["lifecycleState"]
        shown = self.context.lifecycle.shown_state(record, state)
        body = {**record.body, "runDurationInMilliseconds": duration, "lifecycleState": shown}
        engine = self.context.lifecycle.engine
        if state == State.IN_PROGRESS and isinstance(engine, MeteredEngine):
            read_and_written = engine.bytes_moved(record.id)
            if read_and_written is not None:
                body["dataReadInBytes"], body["dataWrittenInBytes"] = read_and_written
        return body

    def list_page(self, request: Request) -> Response:
        query = request.query()
        state = query.get("lifecycleState")
        if state is not None and state not in list(State):
            raise invalid(f"lifecycleState must be one of {', '.join(State)}.")
        records, next_page = LISTING.page(self.context, query)
        bodies = []
        for record in records:
            body = self._body(record)
            bodies.append({k: body[k] for k in SUMMARY_FIELDS})
        return Response.of_json(bodies, headers=page_headers(next_page))

    def get(self, request: Request, run_id: str) -> Response:
        record = load(self.context, RUNS, run_id)
        return resource(record, self._body(record))

    def update(self, request: Request, run_id: str) -> Response:
        details = UPDATE_RUN.read(request)
        record = load_for_change(self.context, RUNS, request, run_id)
        record.body.update(details, timeUpdated=rfc3339(self.context.lifecycle.now()))
        self.context.store.update(RUNS, record)
        if "maxDurationInMinutes" in details:
            self.context.lifecycle.max_duration_changed(record)
        if "idleTimeoutInMinutes" in details:
            self.context.lifecycle.sessions.idle_timeout_changed(record)
        return resource(record, self._body(record))

    def delete(self, request: Request, run_id: str) -> Response:
        """Cancel a run. The API has no operation that deletes the run itself."""
        record = load_for_change(self.context, RUNS, request, run_id)
        response = self.context.options.ended_run_delete
        if (
            record.body["lifecycleState"] in (State.SUCCEEDED, State.FAILED)
            and response != EndedRunDelete.NO_CONTENT
        ):
            message = f"The run has ended already: it is {record.body['lifecycleState']}."
            raise ApiError(409, response.value, message)
        if record.body["lifecycleState"] in (State.ACCEPTED, State.IN_PROGRESS):
            record.internal[CANCELLED_BY] = self._describe(request)
            # Marks this request in the journal: later ones also get 204, but have no effect.
            request.notes["cancelled"] = True
        self.context.lifecycle.cancel(record)
        return Response(204)

    def move(self, request: Request, run_id: str) -> Response:
        details = CHANGE_COMPARTMENT.read(request)
        record = load_for_change(self.context, RUNS, request, run_id)
        if not has_ended(record):
            raise ApiError(409, "IncorrectState", "A run can only be moved when it has ended.")
        record.body["compartmentId"] = details["compartmentId"]
        record.body["timeUpdated"] = rfc3339(self.context.lifecycle.now())
        self.context.store.update(RUNS, record)
        return Response(204)


def _application_of(details: JSON) -> JSON:
    """Return the details of the application that a run with ``execute`` creates."""
    parsed = parse_execute(details["execute"])
    name = parsed.main.rstrip("/").rpartition("/")[2] or parsed.main
    defaults = {
        "displayName": name[:255],
        "driverShape": DEFAULT_SHAPE,
        "executorShape": DEFAULT_SHAPE,
        "numExecutors": 1,
        "sparkVersion": LATEST_SPARK_VERSION,
        "language": parsed.language,
    }
    ignored = ("freeformTags", "definedTags", *_OVERRIDDEN_BY_EXECUTE)
    return {**defaults, **{k: v for k, v in details.items() if k not in ignored}}


def _merge_parameters(defaults: list[JSON], given: list[JSON]) -> list[JSON]:
    by_name = {p["name"]: p for p in defaults}
    by_name.update({p["name"]: p for p in given})
    return list(by_name.values())
