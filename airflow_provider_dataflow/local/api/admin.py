"""Routes below ``/_local``, which OCI does not have: journal, clock, rules, faults, tokens, reset and runs.

Their requests are not signed. The server listens on loopback only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.request_bodies import CHANGE_COMPARTMENT
from airflow_provider_dataflow.local.api.resources import load
from airflow_provider_dataflow.local.api.runs import CANCELLED_BY, CREATED_BY
from airflow_provider_dataflow.local.engines.json_fields import one_of, seconds, shown, to_json, whole
from airflow_provider_dataflow.local.engines.rules import Rule, Rules, RunScript
from airflow_provider_dataflow.local.http.active_faults import ActiveFaults
from airflow_provider_dataflow.local.http.error_messages import as_sentence, did_you_mean
from airflow_provider_dataflow.local.http.faults import Fault
from airflow_provider_dataflow.local.http.keys import KeyRing, RegisteredKey
from airflow_provider_dataflow.local.http.messages import (
    JSON,
    ApiError,
    Handler,
    Principal,
    Request,
    Response,
    Route,
    invalid,
    not_found,
)
from airflow_provider_dataflow.local.http.operations import OPERATIONS
from airflow_provider_dataflow.local.http.tokens import claims_of, expiry_of, load_public_key
from airflow_provider_dataflow.local.state.clock import ManualClock, rfc3339
from airflow_provider_dataflow.local.state.maintenance import STREAMING
from airflow_provider_dataflow.local.state.store import RUNS, SQL_ENDPOINTS, Filter, Record
from airflow_provider_dataflow.models.run import LifecycleState

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.engines.scripted import ScriptedEngine
    from airflow_provider_dataflow.local.http.journal import Journal

T = TypeVar("T")

_DEFAULT_RUNS_LIMIT = 1000
_MAX_RUNS_LIMIT = 10**9
# Query parameters of operations. Those without an entry take none.
_PARAMETERS = {
    "Journal": ("operation", "resourceId", "after"),
    "ClearFaults": ("id",),
    "Runs": ("limit", "state"),
}
_WITH_BODY = {
    "MoveClock",
    "SetRules",
    "AddRule",
    "AddFault",
    "RegisterToken",
    "MoveRun",
    "EndRun",
    "MaintainRun",
}
_EMPTY_BODIES = (b"", b"{}", b"null")
# Name in the journal of requests to paths that are not part of the API.
_UNKNOWN_OPERATION = "Unknown"
_MAX_EPOCH_SECONDS = 200_000_000_000.0  # year 8307; datetime ends with the year 9999


class AdminApi:
    """Routes below ``/_local``.

    :param scripted: the scripted engine; ``None`` with another engine.
    :param reset_service: see ``Service.reset``.
    """

    def __init__(
        self,
        context: Context,
        journal: Journal,
        faults: ActiveFaults,
        scripted: ScriptedEngine | None,
        reset_service: Callable[[], Iterator[bytes]],
        keys: KeyRing,
    ) -> None:
        self.context = context
        self.journal = journal
        self.faults = faults
        self.scripted = scripted
        self._reset_service = reset_service
        self.keys = keys

    def routes(self) -> Iterator[Route]:
        for route in self._routes():
            yield replace(route, handler=_refuse_unknown_input(route))

    def _routes(self) -> Iterator[Route]:
        yield Route("Health", "GET", "/_local/health", self.health)
        yield Route("Journal", "GET", "/_local/journal", self.read_journal)
        yield Route("ClearJournal", "DELETE", "/_local/journal", self.clear_journal)
        yield Route("Clock", "GET", "/_local/clock", self.clock)
        yield Route("MoveClock", "POST", "/_local/clock", self.move_clock)
        yield Route("Rules", "GET", "/_local/rules", self.rules)
        yield Route("SetRules", "PUT", "/_local/rules", self.set_rules)
        yield Route("AddRule", "POST", "/_local/rules", self.add_rule)
        yield Route("ClearRules", "DELETE", "/_local/rules", self.clear_rules)
        yield Route("Faults", "GET", "/_local/faults", self.list_faults)
        yield Route("AddFault", "POST", "/_local/faults", self.add_fault)
        yield Route("ClearFaults", "DELETE", "/_local/faults", self.clear_faults)
        yield Route("Tokens", "GET", "/_local/tokens", self.list_tokens)
        yield Route("RegisterToken", "POST", "/_local/tokens", self.register_token)
        yield Route("ClearTokens", "DELETE", "/_local/tokens", self.clear_tokens)
        yield Route("Reset", "POST", "/_local/reset", self.reset)
        yield Route("Runs", "GET", "/_local/runs", self.runs)
        yield Route("Run", "GET", "/_local/runs/{run_id}", self.run)
        yield Route("MoveRun", "PUT", "/_local/runs/{run_id}", self.move_run)
        yield Route("EndRun", "POST", "/_local/runs/{run_id}/end", self.end_run)
        yield Route("MaintainRun", "POST", "/_local/runs/{run_id}/maintain", self.maintain_run)
        yield Route(
            *("MaintainSqlEndpoint", "POST", "/_local/sqlEndpoints/{sql_endpoint_id}/maintain"),
            self.maintain_sql_endpoint,
        )
        yield Route("RunLog", "GET", "/_local/runs/{run_id}/logs/{name}", self.log)

    def health(self, request: Request) -> Response:
        lifecycle = self.context.lifecycle
        body = {
            "status": "ok",
            "pid": os.getpid(),
            "engine": lifecycle.engine.name,
            "sparkVersion": self.context.spark_version,
            "time": rfc3339(lifecycle.now()),
            "options": to_json(self.context.options),
            "runs": lifecycle.counts() | {"total": self.context.store.count(RUNS)},
        }
        return Response.of_json(body)

    def read_journal(self, request: Request) -> Response:
        """Return entries of the journal. Parameters: ``operation``, ``resourceId``, ``after`` (a number)."""
        query = request.query()
        after = query.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            raise invalid(f"after must be the number of an entry, not {shown(after)}.")
        if "operation" in query:
            _checked(lambda: one_of("operation", query["operation"], (*OPERATIONS, _UNKNOWN_OPERATION)))
        entries = self.journal.select(
            operation=query.get("operation"), resource_id=query.get("resourceId"), after=int(after[:18])
        )
        return Response.of_json(self.journal.as_json(entries))

    def clear_journal(self, request: Request) -> Response:
        self.journal.clear()
        return Response(204)

    def clock(self, request: Request) -> Response:
        lifecycle = self.context.lifecycle
        now, due = lifecycle.now(), lifecycle.timeline.next_due()
        body = {
            "epoch": now,
            "time": rfc3339(now),
            "manual": isinstance(lifecycle.clock, ManualClock),
            "nextDue": None if due is None else rfc3339(due),
        }
        return Response.of_json(body)

    def move_clock(self, request: Request) -> Response:
        """Move the clock: ``{"advance": seconds}``, or ``{"to_next": true}`` to the next planned event."""
        lifecycle = self.context.lifecycle
        body = request.json()
        if not isinstance(lifecycle.clock, ManualClock):
            raise ApiError(409, "IncorrectState", "The clock is not manual; serve with --clock manual.")
        if set(body) == {"advance"}:
            moment = lifecycle.now() + _checked(lambda: seconds("advance", body["advance"]))
        elif set(body) in ({"to_next"}, {"toNext"}) and next(iter(body.values())) is True:
            moment = lifecycle.timeline.next_due() or lifecycle.now()
        else:
            given = ", ".join(map(shown, body)) or "nothing"
            raise invalid(f'Either {{"advance": seconds}} or {{"to_next": true}} must be given, not {given}.')
        if moment > _MAX_EPOCH_SECONDS:
            raise invalid("advance leads too far into the future.")
        # Store the time first: if the server is killed during the events, they continue at its next start.
        self.context.store.save_time(moment)
        lifecycle.clock.move_to(moment)
        lifecycle.settle()
        return self.clock(request)

    def rules(self, request: Request) -> Response:
        return Response.of_json([] if self.scripted is None else self.scripted.rules.as_json())

    def set_rules(self, request: Request) -> Response:
        """Replace all rules by those of the body, a list."""
        items = _json_list(request)
        rules = self._rules()
        _checked(lambda: rules.set([Rule.from_json(item) for item in items]))
        return self.rules(request)

    def add_rule(self, request: Request) -> Response:
        """Add the rule of the body before the others."""
        body = request.json()
        rules = self._rules()
        _checked(lambda: rules.add(Rule.from_json(body)))
        return self.rules(request)

    def _rules(self) -> Rules:
        """Return the rules of the scripted engine.

        :raises ApiError: 409, the server has another engine.
        """
        if self.scripted is None:
            raise ApiError(
                409, "IncorrectState", "Rules need the scripted engine; serve with --engine scripted."
            )
        return self.scripted.rules

    def clear_rules(self, request: Request) -> Response:
        if self.scripted is not None:
            self.scripted.rules.set([])
        return Response(204)

    def list_faults(self, request: Request) -> Response:
        return Response.of_json(self.faults.as_json(self.context.lifecycle.now()))

    def add_fault(self, request: Request) -> Response:
        body = request.json()
        now = self.context.lifecycle.now()
        fault = _checked(lambda: Fault.from_json(body))
        _checked(fault.check_operation)
        active = _checked(lambda: self.faults.add(fault, now))
        return Response.of_json(active.as_json(now))

    def clear_faults(self, request: Request) -> Response:
        """Remove all faults, or the one with the ``id`` of the query."""
        id_ = request.query().get("id")
        if id_ is None:
            self.faults.clear()
        elif not self.faults.remove(id_):
            raise ApiError(404, "NotFound", "There is no such fault.")
        return Response(204)

    def list_tokens(self, request: Request) -> Response:
        """Return tenancy, user and expiry of each registered token, but not the token itself."""
        return Response.of_json([_token_as_json(known) for known in self.keys.tokens()])

    def register_token(self, request: Request) -> Response:
        """Register ``{"token": ..., "publicKey": PEM, "tenancy": ..., "user": ..., "expires": seconds}``.

        ``expires`` is in seconds since the epoch. Default: the token's ``exp`` claim.
        """
        body = request.json()
        texts = [body.get(name) for name in ("token", "publicKey", "tenancy", "user")]
        if not all(isinstance(text, str) and text for text in texts):
            raise invalid("token, publicKey, tenancy and user must be non-empty strings.")
        token, public_key, tenancy, user = map(str, texts)
        expires = body.get("expires")
        if expires is not None and (isinstance(expires, bool) or not isinstance(expires, int | float)):
            raise invalid("expires must be a number of seconds since the epoch.")
        key = _checked(lambda: load_public_key(public_key))
        if expires is None:
            expires = expiry_of(claims_of(token))
        known = self.keys.register_token(token, Principal(tenancy, user), key, expires)
        return Response.of_json(_token_as_json(known))

    def clear_tokens(self, request: Request) -> Response:
        self.keys.clear_tokens()
        return Response(204)

    def reset(self, request: Request) -> Response:
        return Response(200, {"content-type": "application/json"}, self._reset_service())

    def runs(self, request: Request) -> Response:
        """Return the newest runs of all compartments. Parameters: ``limit``, ``state``."""
        query = request.query()
        given = query.get("limit", _DEFAULT_RUNS_LIMIT)
        limit = _checked(lambda: whole("limit", given, 1, _MAX_RUNS_LIMIT))
        if "state" in query:
            _checked(lambda: one_of("state", query["state"], LifecycleState))
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
        script = _checked(lambda: RunScript.from_json(request.json()))
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
        after = _checked(lambda: seconds("successorAfter", body.get("successorAfter", 0)))
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


def _token_as_json(known: RegisteredKey) -> JSON:
    principal = known.principal
    return {"tenancy": principal.tenancy, "user": principal.user, "expires": known.expires}


def _refuse_unknown_input(route: Route) -> Handler:
    """Return the handler of a route, with a check for unknown query parameters and unexpected bodies."""
    known = _PARAMETERS.get(route.operation, ())

    def handler(request: Request, **values: str) -> Response:
        for name in request.query():
            if name not in known:
                what = f"it takes {', '.join(known)}" if known else "it takes none"
                near = did_you_mean(name, known)
                raise invalid(f"{route.operation} has no query parameter {shown(name)}; {what}.{near}")
        if route.operation not in _WITH_BODY and request.body.strip() not in _EMPTY_BODIES:
            raise invalid(f"{route.operation} takes no body.")
        return route.handler(request, **values)

    return handler


def _checked(make: Callable[[], T]) -> T:
    """Call a function and convert its ValueError.

    :raises ApiError: 400, with the message of the ValueError.
    """
    try:
        return make()
    except ValueError as e:
        raise invalid(as_sentence(str(e))) from None


def _json_list(request: Request) -> list[Any]:
    """Return the body of a request, which must be a JSON list.

    :raises ApiError: 400.
    """
    wrapped = Request(request.method, request.target, body=b'{"items":' + request.body + b"}")
    items = wrapped.json().get("items")
    if not isinstance(items, list) or set(wrapped.json()) != {"items"}:
        raise ApiError(400, "CannotParseRequest", "The request body is not a JSON list.")
    return items
