"""Operations of statements of SESSION runs."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import Listing
from airflow_provider_dataflow.local.api.request_bodies import CREATE_STATEMENT
from airflow_provider_dataflow.local.api.resources import check_etag, collection, load, resource
from airflow_provider_dataflow.local.http.messages import JSON, Request, Response, Route
from airflow_provider_dataflow.local.state.session_lifecycle import StatementLifecycleState, statement_id
from airflow_provider_dataflow.local.state.store import RUNS, STATEMENTS, Filter, Record

SUMMARY_FIELDS = ("id", "lifecycleState", "runId", "timeCreated", "timeCompleted")
FIELDS = (*SUMMARY_FIELDS, "code", "output", "progress")

LISTING = Listing(
    STATEMENTS,
    filters={"lifecycleState": ("state", "=")},
    sorts={"timeCreated": "time_created"},
    values={"lifecycleState": tuple(StatementLifecycleState)},
    in_compartment=False,
)


class StatementsApi:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.sessions = context.lifecycle.sessions

    def routes(self) -> Iterator[Route]:
        one = "/runs/{run_id}/statements/{statement}"
        yield Route("CreateStatement", "POST", "/runs/{run_id}/statements", self.create)
        yield Route("ListStatements", "GET", "/runs/{run_id}/statements", self.list_page)
        yield Route("GetStatement", "GET", one, self.get)
        yield Route("DeleteStatement", "DELETE", one, self.delete)

    def create(self, request: Request, run_id: str) -> Response:
        details = CREATE_STATEMENT.read(request)
        record = self.sessions.submit(load(self.context, RUNS, run_id), details["code"])
        return resource(record, _body(record))

    def list_page(self, request: Request, run_id: str) -> Response:
        load(self.context, RUNS, run_id)
        of_run = Filter("run_id", "=", run_id)
        records, next_page = LISTING.page(self.context, request.query(), of_run)
        return collection(map(_body, records), next_page, SUMMARY_FIELDS)

    def get(self, request: Request, run_id: str, statement: str) -> Response:
        record = self._load(run_id, statement)
        return resource(record, _body(record))

    def delete(self, request: Request, run_id: str, statement: str) -> Response:
        """Cancel a statement; its record stays."""
        record = self._load(run_id, statement)
        check_etag(request, record)
        self.sessions.cancel(record)
        return Response(204)

    def _load(self, run_id: str, statement: str) -> Record:
        load(self.context, RUNS, run_id)
        return load(self.context, STATEMENTS, statement_id(run_id, statement))


def _body(record: Record) -> JSON:
    return {**record.body, "id": record.internal["number"]}
