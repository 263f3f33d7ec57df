"""Operations of applications."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import Listing, page_headers
from airflow_provider_dataflow.local.api.request_bodies import (
    CHANGE_COMPARTMENT,
    CREATE_APPLICATION,
    UPDATE_APPLICATION,
    check_main,
    check_properties,
    check_spark_version,
)
from airflow_provider_dataflow.local.api.resources import (
    accepted,
    check_etag,
    check_related,
    identity_fields,
    load,
    resource,
)
from airflow_provider_dataflow.local.api.retry_tokens import create_once
from airflow_provider_dataflow.local.http.messages import (
    JSON,
    ApiError,
    Request,
    Response,
    Route,
    missing,
    not_found,
)
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.execute_string import ParsedExecute, fill_in, parse_execute
from airflow_provider_dataflow.local.state.live_runs import is_application_in_use, live_runs_of_application
from airflow_provider_dataflow.local.state.session_lifecycle import SESSION
from airflow_provider_dataflow.local.state.store import APPLICATIONS, Filter, Record

FIELDS = (
    "applicationLogConfig", "archiveUri", "arguments", "className", "configuration", "compartmentId",
    "definedTags", "description", "displayName", "driverShape", "driverShapeConfig", "execute",
    "executorShape", "executorShapeConfig", "fileUri", "freeformTags", "id", "language", "lifecycleState",
    "logsBucketUri", "metastoreId", "numExecutors", "ownerPrincipalId", "ownerUserName", "parameters",
    "poolId", "privateEndpointId", "sparkVersion", "timeCreated", "timeUpdated", "type", "warehouseBucketUri",
    "maxDurationInMinutes", "idleTimeoutInMinutes",
)  # fmt: skip
SUMMARY_FIELDS = (
    "compartmentId", "definedTags", "displayName", "freeformTags", "id", "language", "lifecycleState",
    "ownerPrincipalId", "ownerUserName", "poolId", "sparkVersion", "timeCreated", "timeUpdated", "type",
)  # fmt: skip
_EMPTY: JSON = {"arguments": [], "configuration": {}, "definedTags": {}, "freeformTags": {}, "parameters": []}

LISTING = Listing(
    APPLICATIONS,
    filters={
        "displayName": ("display_name", "="),
        "ownerPrincipalId": ("owner", "="),
        "displayNameStartsWith": ("display_name", "prefix"),
        "sparkVersion": ("spark_version", "="),
    },
    sorts={"timeCreated": "time_created", "displayName": "display_name", "language": "language"},
    always=(Filter("state", "=", "ACTIVE"),),
)


def new_application(context: Context, request: Request, details: JSON) -> Record:
    """Create and store an application from checked details."""
    body: JSON = dict.fromkeys(FIELDS)
    body.update(_EMPTY, type="BATCH")
    body.update(_without_overridden(details))
    submission = apply_execute(body)
    body.update(identity_fields(context, request, "dataflowapplication"), lifecycleState="ACTIVE")
    _check(context, body)
    record = Record(body, {"submission": submission})
    context.store.insert(APPLICATIONS, record)
    return record


def _check(context: Context, body: JSON) -> None:
    """Check the fields of an application that depend on each other, on the options or on other resources.

    :raises ApiError: 400.
    """
    check_spark_version(body["sparkVersion"], context.spark_version)
    check_properties(body["configuration"] or {}, context.options.forbidden_properties)
    # A SESSION application needs no main file, because clients send statements.
    if body["fileUri"]:
        check_main(body["language"], body["fileUri"], body["className"])
    elif body["type"] != SESSION:
        raise missing("Either fileUri or execute is required.")
    if context.options.complete_application_parameters:
        fill_in(body["arguments"] or [], body["parameters"] or [])
    check_related(context, body)


def _without_overridden(details: JSON) -> JSON:
    """Return the details without ``parameters`` if they have ``execute``, which takes precedence.

    ``apply_execute`` overrides the other fields.
    """
    return {k: v for k, v in details.items() if k != "parameters"} if details.get("execute") else details


def apply_execute(body: JSON) -> JSON:
    """Set the fields of a body from its ``execute``. Return the URIs for which the API has no field."""
    if not body.get("execute"):
        return {}
    parsed: ParsedExecute = parse_execute(body["execute"])
    CREATE_APPLICATION.checks["fileUri"]("execute: the main file", parsed.main)
    CREATE_APPLICATION.checks["configuration"]("execute: --conf", parsed.configuration)
    language = parsed.language
    if language == "JAVA" and body.get("language") == "SCALA":
        language = "SCALA"
    body.update(
        fileUri=parsed.main,
        arguments=parsed.arguments,
        className=parsed.class_name,
        configuration=parsed.configuration,
        language=language,
    )
    extra = {
        "jars": parsed.jars,
        "files": parsed.files,
        "pyFiles": parsed.py_files,
        "archives": parsed.archives,
    }
    return {k: v for k, v in extra.items() if v}


class ApplicationsApi:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        one = "/applications/{application_id}"
        yield Route("CreateApplication", "POST", "/applications", self.create)
        yield Route("ListApplications", "GET", "/applications", self.list_page)
        yield Route("GetApplication", "GET", one, self.get)
        yield Route("UpdateApplication", "PUT", one, self.update)
        yield Route("DeleteApplication", "DELETE", one, self.delete)
        yield Route(
            "CascadingDeleteApplication", "POST", f"{one}/actions/cascadingDeleteApplication", self.cascade
        )
        yield Route("ChangeApplicationCompartment", "POST", f"{one}/actions/changeCompartment", self.move)

    def create(self, request: Request) -> Response:
        details = CREATE_APPLICATION.read(request)
        record = create_once(
            self.context, APPLICATIONS, request, lambda: new_application(self.context, request, details)
        )
        return resource(record, record.body)

    def list_page(self, request: Request) -> Response:
        records, next_page = LISTING.page(self.context, request.query())
        bodies = [{k: r.body.get(k) for k in SUMMARY_FIELDS} for r in records]
        return Response.of_json(bodies, headers=page_headers(next_page))

    def get(self, request: Request, application_id: str) -> Response:
        record = load(self.context, APPLICATIONS, application_id)
        return resource(record, record.body)

    def update(self, request: Request, application_id: str) -> Response:
        details = UPDATE_APPLICATION.read(request)
        record = load_active(self.context, application_id)
        check_etag(request, record)
        body = {**record.body, **_without_overridden(details)}
        submission = apply_execute(body) if "execute" in details else record.internal.get("submission", {})
        _check(self.context, body)
        body["timeUpdated"] = rfc3339(self.context.lifecycle.now())
        record.body, record.internal["submission"] = body, submission
        self.context.store.update(APPLICATIONS, record)
        return resource(record, record.body)

    def delete(self, request: Request, application_id: str) -> Response:
        record = load_active(self.context, application_id)
        check_etag(request, record)
        if is_application_in_use(self.context.store, application_id):
            message = "The application has runs that have not ended. Cancel them first."
            raise ApiError(409, "Conflict", message)
        self._mark_deleted(record)
        return Response(204)

    def cascade(self, request: Request, application_id: str) -> Response:
        """Delete the application and cancel its runs. The work request ends with the last run."""
        record = load_active(self.context, application_id)
        check_etag(request, record)
        requests = self.context.lifecycle.work_requests
        path = f"/applications/{application_id}"
        work_request = requests.begin("DELETE_APPLICATION", record, path)
        self._mark_deleted(record)
        for run in live_runs_of_application(self.context.store, application_id):
            self.context.lifecycle.cancel(run, "The run was canceled: its application was deleted.")
        requests.run_ended(application_id)
        return accepted(record, work_request)

    def move(self, request: Request, application_id: str) -> Response:
        details = CHANGE_COMPARTMENT.read(request)
        record = load_active(self.context, application_id)
        check_etag(request, record)
        record.body["compartmentId"] = details["compartmentId"]
        record.body["timeUpdated"] = rfc3339(self.context.lifecycle.now())
        self.context.store.update(APPLICATIONS, record)
        return Response(204)

    def _mark_deleted(self, record: Record) -> None:
        record.body["lifecycleState"] = "DELETED"
        record.body["timeUpdated"] = rfc3339(self.context.lifecycle.now())
        self.context.store.update(APPLICATIONS, record)


def load_active(context: Context, application_id: str) -> Record:
    """Return an application.

    :raises ApiError: 404, it does not exist or is deleted.
    """
    record = load(context, APPLICATIONS, application_id)
    if record.body["lifecycleState"] == "DELETED":
        raise not_found()
    return record
