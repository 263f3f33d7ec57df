"""Operations of the work requests of copies."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.object_storage.context import ObjectContext, list_response
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, Request, Response, Route

_FIELDS = (
    "operationType",
    "status",
    "id",
    "compartmentId",
    "resources",
    "percentComplete",
    "timeAccepted",
    "timeStarted",
    "timeFinished",
)


class ObjectWorkRequestsApi:
    def __init__(self, context: ObjectContext) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        one = "/workRequests/{work_request_id}"
        yield Route("ListWorkRequests", "GET", "/workRequests", self.list_page)
        yield Route("GetWorkRequest", "GET", one, self.get)
        yield Route("CancelWorkRequest", "DELETE", one, self.cancel)
        yield Route("ListWorkRequestErrors", "GET", f"{one}/errors", self.errors)
        yield Route("ListWorkRequestLogs", "GET", f"{one}/logs", self.logs)

    def list_page(self, request: Request) -> Response:
        compartment = request.query().get("compartmentId")
        if not compartment:
            raise ApiError(400, "MissingCompartmentId", "compartmentId is required.")
        records = [r for r in self.context.copies.requests.all() if r.get("compartmentId") == compartment]
        records.sort(key=lambda record: (record["timeAccepted"], record["id"]), reverse=True)
        return list_response(request, [_body(record) for record in records])

    def get(self, request: Request, work_request_id: str) -> Response:
        return Response.of_json(_body(self._record(work_request_id)))

    def cancel(self, request: Request, work_request_id: str) -> Response:
        self._record(work_request_id)
        raise ApiError(409, "NotCancelable", "Local Data Flow does not cancel copies, which end soon.")

    def errors(self, request: Request, work_request_id: str) -> Response:
        return list_response(request, self._record(work_request_id)["errors"])

    def logs(self, request: Request, work_request_id: str) -> Response:
        record = self._record(work_request_id)
        entries: list[JSON] = [{"message": "The copy has started.", "timestamp": record["timeStarted"]}]
        if record["timeFinished"] is not None:
            message = f"The copy is {record['status']}."
            entries.append({"message": message, "timestamp": record["timeFinished"]})
        return list_response(request, entries)

    def _record(self, id_: str) -> JSON:
        record = self.context.copies.requests.get(id_)
        if record is None:
            raise ApiError(404, "NotFound", f"The work request '{id_}' does not exist.")
        return record


def _body(record: JSON) -> JSON:
    return {field: record[field] for field in _FIELDS}
