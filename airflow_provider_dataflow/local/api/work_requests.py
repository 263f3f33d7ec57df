"""Operations of work requests."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import Listing, page_of
from airflow_provider_dataflow.local.api.resources import collection, load, resource
from airflow_provider_dataflow.local.http.messages import JSON, Request, Response, Route
from airflow_provider_dataflow.local.state.store import WORK_REQUESTS

FIELDS = (
    "compartmentId", "id", "operation", "percentComplete", "resources", "status", "timeAccepted",
    "timeStarted", "timeFinished",
)  # fmt: skip
LOG_FIELDS = ("id", "message", "timestamp", "workRequestid")
ERROR_FIELDS = (*LOG_FIELDS, "code")

LISTING = Listing(WORK_REQUESTS, filters={}, sorts={"timeCreated": "time_created"})


class WorkRequestsApi:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        one = "/workRequests/{work_request_id}"
        yield Route("ListWorkRequests", "GET", "/workRequests", self.list_page)
        yield Route("GetWorkRequest", "GET", one, self.get)
        yield Route("ListWorkRequestErrors", "GET", f"{one}/errors", self.errors)
        yield Route("ListWorkRequestLogs", "GET", f"{one}/logs", self.logs)

    def list_page(self, request: Request) -> Response:
        records, next_page = LISTING.page(self.context, request.query())
        return collection((r.body for r in records), next_page, FIELDS)

    def get(self, request: Request, work_request_id: str) -> Response:
        record = load(self.context, WORK_REQUESTS, work_request_id)
        return resource(record, record.body)

    def errors(self, request: Request, work_request_id: str) -> Response:
        return self._entries(request, work_request_id, "errors", ERROR_FIELDS)

    def logs(self, request: Request, work_request_id: str) -> Response:
        return self._entries(request, work_request_id, "logs", LOG_FIELDS)

    def _entries(self, request: Request, id_: str, which: str, fields: tuple[str, ...]) -> Response:
        record = load(self.context, WORK_REQUESTS, id_)
        entries: list[JSON] = [
            {**dict.fromkeys(fields), **entry, "id": number, "workRequestid": id_}
            for number, entry in enumerate(record.internal.get(which, []), start=1)
        ]
        items, next_page = page_of(self.context, request.query(), entries)
        return collection(items, next_page, fields)
