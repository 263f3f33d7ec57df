"""Routes below ``/_local``, which OCI does not have: journal, clock, rules, faults, tokens and reset.

Their requests are not signed. The server listens on loopback only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_dataflow.local.api.admin_input import checked, json_list, refuse_unknown_input
from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.engines.base import PythonEngine
from airflow_provider_dataflow.local.engines.json_fields import one_of, seconds, shown, to_json
from airflow_provider_dataflow.local.engines.rules import Rule, Rules
from airflow_provider_dataflow.local.http.active_faults import ActiveFaults
from airflow_provider_dataflow.local.http.faults import Fault
from airflow_provider_dataflow.local.http.keys import KeyRing, RegisteredKey
from airflow_provider_dataflow.local.http.messages import (
    JSON,
    ApiError,
    Principal,
    Request,
    Response,
    Route,
    invalid,
)
from airflow_provider_dataflow.local.http.operations import OPERATIONS
from airflow_provider_dataflow.local.http.tokens import claims_of, expiry_of, load_public_key
from airflow_provider_dataflow.local.state.clock import ManualClock, rfc3339
from airflow_provider_dataflow.local.state.store import RUNS

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.engines.scripted import ScriptedEngine
    from airflow_provider_dataflow.local.http.journal import Journal

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
            yield replace(route, handler=refuse_unknown_input(route))

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

    def health(self, request: Request) -> Response:
        lifecycle = self.context.lifecycle
        engine = lifecycle.engine
        body = {
            "status": "ok",
            "pid": os.getpid(),
            "engine": engine.name,
            "sparkVersion": self.context.spark_version,
            "pythonVersion": engine.python_version() if isinstance(engine, PythonEngine) else None,
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
            checked(lambda: one_of("operation", query["operation"], (*OPERATIONS, _UNKNOWN_OPERATION)))
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
            moment = lifecycle.now() + checked(lambda: seconds("advance", body["advance"]))
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
        items = json_list(request)
        rules = self._rules()
        checked(lambda: rules.set([Rule.from_json(item) for item in items]))
        return self.rules(request)

    def add_rule(self, request: Request) -> Response:
        """Add the rule of the body before the others."""
        body = request.json()
        rules = self._rules()
        checked(lambda: rules.add(Rule.from_json(body)))
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
        fault = checked(lambda: Fault.from_json(body))
        checked(fault.check_operation)
        active = checked(lambda: self.faults.add(fault, now))
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
        key = checked(lambda: load_public_key(public_key))
        if expires is None:
            expires = expiry_of(claims_of(token))
        known = self.keys.register_token(token, Principal(tenancy, user), key, expires)
        return Response.of_json(_token_as_json(known))

    def clear_tokens(self, request: Request) -> Response:
        self.keys.clear_tokens()
        return Response(204)

    def reset(self, request: Request) -> Response:
        return Response(200, {"content-type": "application/json"}, self._reset_service())


def _token_as_json(known: RegisteredKey) -> JSON:
    principal = known.principal
    return {"tenancy": principal.tenancy, "user": principal.user, "expires": known.expires}
