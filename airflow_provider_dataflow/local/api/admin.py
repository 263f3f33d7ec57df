"""``/_local``: what only a local server has. Not signed, and reachable on loopback only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dataflow.local.api.context import Context, load
from airflow_provider_dataflow.local.api.fields import CHANGE_COMPARTMENT
from airflow_provider_dataflow.local.api.runs import CANCELLED_BY, CREATED_BY
from airflow_provider_dataflow.local.engines.rules import Course, Rule, Rules, seconds, shown, to_json, whole
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
from airflow_provider_dataflow.local.state.store import RUNS, Filter, Record
from airflow_provider_dataflow.models.run import LifecycleState

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.engines.scripted import ScriptedEngine
    from airflow_provider_dataflow.local.http.journal import Journal

T = TypeVar("T")

_MANY_RUNS = 1000
_MAX_RUNS = 10**9
# The parameters that an operation takes in its query, and the operations that take a body.
_PARAMETERS = {
    "Journal": ("operation", "resourceId", "after"),
    "ClearFaults": ("id",),
    "Runs": ("limit", "state"),
}
_WITH_BODY = {"MoveClock", "SetRules", "AddRule", "AddFault", "RegisterToken", "MoveRun", "EndRun"}
_EMPTY_BODIES = (b"", b"{}", b"null")
# The journal's name for a request to a path that the API does not have.
_UNKNOWN_OPERATION = "Unknown"
_LAST_MOMENT = 200_000_000_000.0  # in the year 8307: later ones have no text


class AdminApi:
    """
    :param scripted: the engine, if it is that one
    :param forget: see ``Service.reset``
    """

    def __init__(
        self,
        context: Context,
        journal: Journal,
        faults: ActiveFaults,
        scripted: ScriptedEngine | None,
        forget: Callable[[], Iterator[bytes]],
        keys: KeyRing,
    ) -> None:
        self.context = context
        self.journal = journal
        self.faults = faults
        self.scripted = scripted
        self.forget = forget
        self.keys = keys

    def routes(self) -> Iterator[Route]:
        for route in self._routes():
            yield replace(route, handler=_without_unknown_input(route))

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
        """Parameters: ``operation``, ``resourceId``, ``after`` (the number of an entry)."""
        query = request.query()
        after = query.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            raise invalid(f"after must be the number of an entry, not {shown(after)}.")
        if "operation" in query:
            _check_known("operation", query["operation"], (*OPERATIONS, _UNKNOWN_OPERATION))
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
        """``{"advance": seconds}`` or ``{"to_next": true}``: to whatever is due next."""
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
        if moment > _LAST_MOMENT:
            raise invalid("advance leads too far into the future.")
        # Kept first: what falls due may be interrupted, and goes on at the next start.
        self.context.store.keep_time(moment)
        lifecycle.clock.move_to(moment)
        lifecycle.settle()
        return self.clock(request)

    def rules(self, request: Request) -> Response:
        return Response.of_json([] if self.scripted is None else self.scripted.rules.as_json())

    def set_rules(self, request: Request) -> Response:
        """The body is a list of rules, which replace those before."""
        items = _json_list(request)
        rules = self._rules()
        _checked(lambda: rules.set([Rule.from_json(item) for item in items]))
        return self.rules(request)

    def add_rule(self, request: Request) -> Response:
        """The body is a rule, which comes before the others."""
        body = request.json()
        rules = self._rules()
        _checked(lambda: rules.add(Rule.from_json(body)))
        return self.rules(request)

    def _rules(self) -> Rules:
        """:raises ApiError: 409, the engine has none"""
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
        """All, or the one whose ``id`` is given."""
        id_ = request.query().get("id")
        if id_ is None:
            self.faults.clear()
        elif not self.faults.remove(id_):
            raise ApiError(404, "NotFound", "There is no such fault.")
        return Response(204)

    def list_tokens(self, request: Request) -> Response:
        """Whose they are, but not the tokens."""
        return Response.of_json([_token_as_json(known) for known in self.keys.tokens()])

    def register_token(self, request: Request) -> Response:
        """``{"token": ..., "publicKey": PEM, "tenancy": ..., "user": ..., "expires": seconds or null}``"""
        body = request.json()
        texts = [body.get(name) for name in ("token", "publicKey", "tenancy", "user")]
        if not all(isinstance(text, str) and text for text in texts):
            raise invalid("token, publicKey, tenancy and user must be strings that are not empty.")
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
        return Response(200, {"content-type": "application/json"}, self.forget())

    def runs(self, request: Request) -> Response:
        """The newest runs of all compartments, at most ``limit``; ``state`` selects."""
        query = request.query()
        limit = _checked(lambda: whole("limit", query.get("limit", _MANY_RUNS), 1, _MAX_RUNS))
        if "state" in query:
            _check_known("state", query["state"], LifecycleState)
        filters = [Filter("state", "=", query["state"])] if "state" in query else []
        records, _ = self.context.store.page(RUNS, filters, "time_created", True, limit, None)
        return Response.of_json([self._with_states(r) for r in records])

    def run(self, request: Request, run_id: str) -> Response:
        record = load(self.context, RUNS, run_id)
        body = self._with_states(record)
        body["logs"] = [f.name for f in self.context.logs(run_id).list()]
        return Response.of_json(body)

    def move_run(self, request: Request, run_id: str) -> Response:
        """``{"compartmentId": ...}``: also of a run that is in progress, which the API does not allow."""
        record = load(self.context, RUNS, run_id)
        record.body["compartmentId"] = CHANGE_COMPARTMENT.read(request)["compartmentId"]
        self.context.store.update(RUNS, record)
        return self.run(request, run_id)

    def end_run(self, request: Request, run_id: str) -> Response:
        """The body is a course, whose ``outcome`` is SUCCEEDED if it does not say."""
        load(self.context, RUNS, run_id)
        course = _checked(lambda: Course.from_json(request.json()))
        if course.outcome == LifecycleState.IN_PROGRESS:
            raise invalid("outcome must be a state in which a run has ended, not IN_PROGRESS.")
        if self.scripted is None or not self.scripted.end(run_id, course):
            raise ApiError(409, "IncorrectState", "The run is not a scripted one in progress.")
        self.context.lifecycle.settle()
        return self.run(request, run_id)

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
            {"state": lifecycle.shown(record, state), "time": rfc3339(moment), "details": details}
            for state, moment, details in self.context.store.states(record.id)
        ]
        return {
            **record.body,
            "lifecycleState": lifecycle.shown(record, record.body["lifecycleState"]),
            "runDurationInMilliseconds": lifecycle.duration(record, lifecycle.now()),
            "states": states,
            CREATED_BY: record.internal.get(CREATED_BY),
            CANCELLED_BY: record.internal.get(CANCELLED_BY),
        }


def _token_as_json(known: RegisteredKey) -> JSON:
    principal = known.principal
    return {"tenancy": principal.tenancy, "user": principal.user, "expires": known.expires}


def _without_unknown_input(route: Route) -> Handler:
    """Refuse a query parameter or a body that the operation would ignore, as the typo that it is."""
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


def _check_known(name: str, value: str, known: Iterable[str]) -> None:
    """:raises ApiError: 400"""
    if value not in list(known):
        near = did_you_mean(value, known)
        raise invalid(f"{name} must be one of {', '.join(known)}, not {shown(value)}.{near}")


def _checked(make: Callable[[], T]) -> T:
    """:raises ApiError: 400, saying what was wrong"""
    try:
        return make()
    except ValueError as e:
        raise invalid(as_sentence(str(e))) from None


def _json_list(request: Request) -> list[Any]:
    """:raises ApiError: 400, if the body is no list in JSON"""
    wrapped = Request(request.method, request.target, body=b'{"items":' + request.body + b"}")
    items = wrapped.json().get("items")
    if not isinstance(items, list) or set(wrapped.json()) != {"items"}:
        raise ApiError(400, "CannotParseRequest", "The request body is not a JSON list.")
    return items
