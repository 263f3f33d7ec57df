"""Operations of the logs of runs."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.listing import page_headers, page_of
from airflow_provider_dataflow.local.api.resources import load
from airflow_provider_dataflow.local.http.messages import Request, Response, Route, not_found
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.store import RUNS


class RunLogsApi:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        yield Route("ListRunLogs", "GET", "/runs/{run_id}/logs", self.list_page)
        yield Route("GetRunLog", "GET", "/runs/{run_id}/logs/{name}", self.get)

    def list_page(self, request: Request, run_id: str) -> Response:
        query = request.query()
        load(self.context, RUNS, run_id)
        bodies = [
            {
                "name": f.name,
                "runId": run_id,
                "sizeInBytes": f.size,
                "source": f.source,
                "timeCreated": rfc3339(f.modified),
                "type": f.type,
            }
            for f in self.context.logs(run_id).list()
        ]
        page, next_page = page_of(self.context, query, bodies)
        return Response.of_json(page, headers=page_headers(next_page))

    def get(self, request: Request, run_id: str, name: str) -> Response:
        load(self.context, RUNS, run_id)
        content = self.context.logs(run_id).open_gzip(name)
        if content is None:
            raise not_found()
        # Although the name ends in .gz, clients read plain text: HTTP libraries undo the content encoding.
        headers = {"content-type": "application/octet-stream", "content-encoding": "gzip"}
        return Response(200, headers, content)
