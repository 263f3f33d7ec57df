"""``/_local``: what only a local server has. Not signed, and reachable on loopback only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_dataflow.local.api.context import Context, load
from airflow_provider_dataflow.local.clock import rfc3339
from airflow_provider_dataflow.local.http import JSON, Request, Response, Route, invalid, not_found
from airflow_provider_dataflow.local.store import RUNS, Filter, Record

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.journal import Journal

_MAX_RUNS = 1000


class AdminApi:
    def __init__(self, context: Context, journal: Journal) -> None:
        self.context = context
        self.journal = journal

    def routes(self) -> Iterator[Route]:
        yield Route("Health", "GET", "/_local/health", self.health)
        yield Route("Journal", "GET", "/_local/journal", self.read_journal)
        yield Route("ClearJournal", "DELETE", "/_local/journal", self.clear_journal)
        yield Route("Runs", "GET", "/_local/runs", self.runs)
        yield Route("Run", "GET", "/_local/runs/{run_id}", self.run)
        yield Route("RunLog", "GET", "/_local/runs/{run_id}/logs/{name}", self.log)

    def health(self, request: Request) -> Response:
        lifecycle = self.context.lifecycle
        body = {
            "status": "ok",
            "pid": os.getpid(),
            "engine": lifecycle.engine.name,
            "sparkVersion": self.context.spark_version,
            "time": rfc3339(lifecycle.now()),
            "runs": lifecycle.counts() | {"total": self.context.store.count(RUNS)},
        }
        return Response.of_json(body)

    def read_journal(self, request: Request) -> Response:
        """Parameters: ``operation``, ``resourceId``, ``after`` (the number of an entry)."""
        query = request.query()
        after = query.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            raise invalid("after must be the number of an entry.")
        entries = self.journal.select(
            operation=query.get("operation"), resource_id=query.get("resourceId"), after=int(after[:18])
        )
        return Response.of_json(self.journal.as_json(entries))

    def clear_journal(self, request: Request) -> Response:
        self.journal.clear()
        return Response(204)

    def runs(self, request: Request) -> Response:
        """The newest runs of all compartments; ``state`` selects."""
        query = request.query()
        filters = [Filter("state", "=", query["state"])] if "state" in query else []
        records, _ = self.context.store.page(RUNS, filters, "time_created", True, _MAX_RUNS, None)
        return Response.of_json([self._with_states(r) for r in records])

    def run(self, request: Request, run_id: str) -> Response:
        record = load(self.context, RUNS, run_id)
        body = self._with_states(record)
        body["logs"] = [f.name for f in self.context.logs(run_id).list()]
        return Response.of_json(body)

    def log(self, request: Request, run_id: str, name: str) -> Response:
        load(self.context, RUNS, run_id)
        content = self.context.logs(run_id).open_gzip(name)
        if content is None:
            raise not_found()
        headers = {
            "content-type": "text/plain; charset=utf-8",
            "content-encoding": "gzip",
            "x-content-type-options": "nosniff",
        }
        return Response(200, headers, content)

    def _with_states(self, record: Record) -> JSON:
        states = [
            {"state": state, "time": rfc3339(moment), "details": details}
            for state, moment, details in self.context.store.states(record.id)
        ]
        duration = self.context.lifecycle.duration(record, self.context.lifecycle.now())
        return {**record.body, "runDurationInMilliseconds": duration, "states": states}
