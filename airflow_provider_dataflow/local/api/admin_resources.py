"""Routes below ``/_local`` for runs and SQL endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_dataflow.local.api.admin_input import checked, refuse_unknown_input
from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.request_bodies import CHANGE_COMPARTMENT
from airflow_provider_dataflow.local.api.resources import load
from airflow_provider_dataflow.local.api.runs import CANCELLED_BY, CREATED_BY
from airflow_provider_dataflow.local.engines.json_fields import one_of, seconds, shown, whole
from airflow_provider_dataflow.local.engines.rules import RunScript
from airflow_provider_dataflow.local.http.messages import (
    JSON,
    ApiError,
    Request,
    Response,
    Route,
    invalid,
    not_found,
)
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.maintenance import STREAMING
from airflow_provider_dataflow.local.state.store import RUNS, SQL_ENDPOINTS, Filter, Record
from airflow_provider_dataflow.models.run import LifecycleState

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.engines.scripted import ScriptedEngine

_DEFAULT_RUNS_LIMIT = 1000
_MAX_RUNS_LIMIT = 10**9


class AdminResourcesApi:
    """Routes below ``/_local`` for runs and SQL endpoints.

    :param scripted: the scripted engine; ``None`` with another engine.
    """

    def __init__(self, context: Context, scripted: ScriptedEngine | None) -> None:
        self.context = context
        self.scripted = scripted

    def routes(self) -> Iterator[Route]:
        for route in self._routes():
            yield replace(route, handler=refuse_unknown_input(route))

    def _routes(self) -> Iterator[Route]:
        yield Route("Runs", "GET", "/_local/runs", self.runs)
        yield Route("Run", "GET", "/_local/runs/{run_id}", self.run)
        yield Route("MoveRun", "PUT", "/_local/runs/{run_id}", self.move_run)
        yield Route("EndRun", "POST", "/_local/runs/{run_id}/end", self.end_run)
        yield Route("MaintainRun", "POST", "/_local/runs/{run_id}/maintain", self.maintain_run)
        yield Route("SqlEndpoints", "GET", "/_local/sqlEndpoints", self.sql_endpoints)
        yield Route("SqlEndpoint", "GET", "/_local/sqlEndpoints/{sql_endpoint_id}", self.sql_endpoint)
        yield Route(
            *("MaintainSqlEndpoint", "POST", "/_local/sqlEndpoints/{sql_endpoint_id}/maintain"),
            self.maintain_sql_endpoint,
        )
        yield Route("RunLog", "GET", "/_local/runs/{run_id}/logs/{name}", self.log)

    def runs(self, request: Request) -> Response:
        """Return the newest runs of all compartments. Parameters: ``limit``, ``state``."""
        query = request.query()
        given = query.get("limit", _DEFAULT_RUNS_LIMIT)
        limit = checked(lambda: whole("limit", given, 1, _MAX_RUNS_LIMIT))
        if "state" in query:
            checked(lambda: one_of("state", query["state"], LifecycleState))
        filters = [Filter("state", "=", query["state"])] if "state" in query else []
        records, _ = self.context.store.page(RUNS, filters, "time_created", True, limit, None)
        return Response.of_json([self._with_states(r) for r in records])

    def run(self, request: Request, run_id: str) -> Response:
        record = load(self.context, RUNS, run_id)
        body = self._with_states(record)
        body["logs"] = [f.name for f in self.context.logs(run_id).list()]
        return Response.of_json(body)

    def move_run(self, request: Request, run_id: str) -> Response:
        """Move a run to another compartment, also while it is in progress, which the API does not allow."""
        record = load(self.context, RUNS, run_id)
        record.body["compartmentId"] = CHANGE_COMPARTMENT.read(request)["compartmentId"]
        self.context.store.update(RUNS, record)
        return self.run(request, run_id)

    def end_run(self, request: Request, run_id: str) -> Response:
        """End a scripted run now. The body is a run script, whose ``outcome`` is SUCCEEDED by default."""
        load(self.context, RUNS, run_id)
        script = checked(lambda: RunScript.from_json(request.json()))
        if script.outcome == LifecycleState.IN_PROGRESS:
            raise invalid("outcome must be a final state, not IN_PROGRESS.")
        if self.scripted is None or not self.scripted.end(run_id, script):
            raise ApiError(409, "IncorrectState", "The run is not a scripted run in progress.")
        self.context.lifecycle.settle()
        return self.run(request, run_id)

    def maintain_run(self, request: Request, run_id: str) -> Response:
        """Stop a STREAMING run for maintenance, and start its successor ``successorAfter`` its end.

        Body: ``{"successorAfter": seconds, "copyTags": true}``; by default 0 and false.
        """
        record = load(self.context, RUNS, run_id)
        body = request.json()
        if unknown := set(body) - {"successorAfter", "copyTags"}:
            raise invalid(f"Unknown fields: {', '.join(map(shown, sorted(unknown)))}.")
        after = checked(lambda: seconds("successorAfter", body.get("successorAfter", 0)))
        copy_tags = body.get("copyTags", False)
        if not isinstance(copy_tags, bool):
            raise invalid("copyTags must be true or false.")
        if record.body["type"] != STREAMING or record.body["lifecycleState"] != LifecycleState.IN_PROGRESS:
            problem = f"this one is {record.body['type']} and {record.body['lifecycleState']}"
            message = f"Maintenance stops only STREAMING runs that are IN_PROGRESS; {problem}."
            raise ApiError(409, "IncorrectState", message)
        self.context.lifecycle.maintenance.start(record, after, copy_tags=copy_tags)
        self.context.lifecycle.settle()
        return self.run(request, run_id)

    def sql_endpoints(self, request: Request) -> Response:
        """Return the SQL endpoints of all compartments, newest first."""
        return Response.of_json([record.body for record in self.context.store.select(SQL_ENDPOINTS)[::-1]])

    def sql_endpoint(self, request: Request, sql_endpoint_id: str) -> Response:
        """Return a SQL endpoint with its work requests, newest first."""
        record = load(self.context, SQL_ENDPOINTS, sql_endpoint_id)
        work_requests = [
            {**found.body, "errors": found.internal.get("errors", [])}
            for found in self.context.lifecycle.work_requests.of_resource(record.id)
        ]
        return Response.of_json({**record.body, "workRequests": work_requests})

    def maintain_sql_endpoint(self, request: Request, sql_endpoint_id: str) -> Response:
        """Maintain an active SQL endpoint, which is UPDATING for the time that other changes take."""
        record = load(self.context, SQL_ENDPOINTS, sql_endpoint_id)
        self.context.lifecycle.sql_endpoints.maintain(record)
        return Response(204)

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
        lifecycle = self.context.lifecycle
        states = [
            {"state": lifecycle.shown_state(record, state), "time": rfc3339(moment), "details": details}
            for state, moment, details in self.context.store.states(record.id)
        ]
        return {
            **record.body,
            "lifecycleState": lifecycle.shown_state(record, record.body["lifecycleState"]),
            "runDurationInMilliseconds": lifecycle.duration(record, lifecycle.now()),
            "states": states,
            CREATED_BY: record.internal.get(CREATED_BY),
            CANCELLED_BY: record.internal.get(CANCELLED_BY),
        }
