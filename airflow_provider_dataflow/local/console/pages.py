"""Pages of the console: runs, which can be cancelled, applications, pools, SQL endpoints and requests."""

from __future__ import annotations

import hmac
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.console import sql_endpoints, timeline
from airflow_provider_dataflow.local.console.html import (
    CREATED_BY,
    Markup,
    Page,
    code,
    details,
    duration,
    empty,
    facts,
    join,
    link,
    moment,
    state_badge,
    table,
    tag,
)
from airflow_provider_dataflow.local.console.run_request import request_card
from airflow_provider_dataflow.local.http.messages import ApiError, Request, Response, Route
from airflow_provider_dataflow.local.state.clock import ManualClock, rfc3339
from airflow_provider_dataflow.local.state.run_lifecycle import has_ended
from airflow_provider_dataflow.local.state.store import (
    APPLICATIONS,
    POOLS,
    RUNS,
    SQL_ENDPOINTS,
    Filter,
    Record,
    ResourceKind,
)
from airflow_provider_dataflow.models.run import LifecycleState as State

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.http.journal import Journal, JournalEntry

_ROWS_PER_PAGE = 50
_TAIL_BYTES = 32 * 1024
_MAX_REQUESTS = 200
_MAX_REQUESTS_OF_RUN = 12
_NO_RUNS = empty(
    "No runs yet.",
    "Trigger a DAG with InvokeRunOperator. Its Airflow connection is printed by ",
    code("dataflow-local connection"),
)
_CREATED_BY = {"applications": "CreateOrUpdateApplicationOperator", "pools": "CreatePoolOperator"}
# Filters of the list of runs.
_STATE_FILTERS: dict[str, tuple[State, ...]] = {
    "active": (State.ACCEPTED, State.IN_PROGRESS, State.CANCELING, State.STOPPING),
    "succeeded": (State.SUCCEEDED,),
    "failed": (State.FAILED,),
    "canceled": (State.CANCELED, State.STOPPED),
}


class Console:
    """Routes of the console."""

    def __init__(self, context: Context, journal: Journal) -> None:
        self.context = context
        self.journal = journal
        # Only the console's own pages contain this token, so that pages of other sites cannot cancel runs.
        self._form_token = secrets.token_urlsafe(24)

    def routes(self) -> Iterator[Route]:
        yield Route("ConsoleRoot", "GET", "/", self.runs)
        yield Route("ConsoleHome", "GET", "/console", self.runs)
        yield Route("ConsoleRuns", "GET", "/console/runs", self.runs)
        yield Route("ConsoleRun", "GET", "/console/runs/{run_id}", self.run)
        yield Route("ConsoleCancel", "POST", "/console/runs/{run_id}/cancel", self.cancel)
        yield Route("ConsoleApplications", "GET", "/console/applications", self.applications)
        yield Route("ConsoleApplication", "GET", "/console/applications/{id_}", self.application)
        yield Route("ConsoleRequests", "GET", "/console/requests", self.requests)
        yield Route("ConsolePools", "GET", "/console/pools", self.pools)
        yield Route("ConsolePool", "GET", "/console/pools/{id_}", self.pool)
        yield Route("ConsoleSqlEndpoints", "GET", sql_endpoints.PATH, self.sql_endpoints)
        yield Route("ConsoleSqlEndpoint", "GET", f"{sql_endpoints.PATH}/{{id_}}", self.sql_endpoint)
        # The last ones, since the first match wins.
        yield Route("ConsoleUnknown", "GET", "/console/{page}", self.unknown)
        yield Route("ConsoleUnknown", "GET", "/console/{page}/{id_}", self.unknown)
        yield Route("ConsoleUnknown", "GET", "/console/{page}/{id_}/{rest}", self.unknown)

    # --- Runs -----------------------------------------------------------------------------------------------

    def runs(self, request: Request) -> Response:
        query = request.query()
        chosen = query.get("show", "")
        states = _STATE_FILTERS.get(chosen, ())
        records, next_page = self._load_runs(states, query.get("page"))
        counts = {name: self._count(states) for name, states in _STATE_FILTERS.items()}
        chips = [
            tag("a", f"All {sum(counts.values())}", href="/console/", aria_current=_aria_current(not states))
        ]
        for name in _STATE_FILTERS:
            label = f"{name.capitalize()} {counts[name]}"
            chips.append(
                tag("a", label, href=f"/console/?show={name}", aria_current=_aria_current(name == chosen))
            )
        body = [tag("div", tag("h1", "Runs"), tag("div", *chips, class_="chips"), class_="top")]
        none = empty(f"No {chosen} runs.") if states else _NO_RUNS
        body.append(tag("div", self._run_table(records, none), class_="card"))
        if next_page is not None:
            more = urlencode({**({"show": chosen} if states else {}), "page": next_page})
            body.append(tag("p", link(f"/console/?{more}", "Older runs")))
        # New runs appear on the first page only.
        return self._page("Runs", join(body), tab="Runs", live="page" not in query)

    def _load_runs(self, states: tuple[State, ...], page: str | None) -> tuple[list[Record], str | None]:
        filters = [Filter("state", "in", states)] if states else []
        return self.context.store.page(RUNS, filters, "time_created", True, _ROWS_PER_PAGE, page)

    def _count(self, states: tuple[State, ...]) -> int:
        return self.context.store.count(RUNS, [Filter("state", "in", states)])

    def _run_table(self, records: list[Record], none: Markup) -> Markup:
        if not records:
            return none
        now = self.context.lifecycle.now()
        rows = [timeline.spans(self.context.store.states(r.id), now) for r in records]
        scale = timeline.Scale.around(rows)
        lines = []
        for record, row in zip(records, rows, strict=True):
            name = link(f"/console/runs/{quote(record.id)}", record.body["displayName"] or record.id)
            notes = filter(None, (_origin(record), record.body["lifecycleDetails"]))
            lines.append(
                (
                    join([name, *(tag("span", note, class_="why") for note in notes)]),
                    state_badge(self._shown_state(record)),
                    moment(row[0].begin, now) if row else "",
                    tag("span", self._duration(record)),
                    timeline.bar(row, scale),
                )
            )
        head = ("Run", "State", "Created (UTC)", "Duration", timeline.axis(scale))
        shown = [s for s in State if any(r.body["lifecycleState"] == s for r in records)]
        if State.ACCEPTED not in shown:
            shown.insert(0, State.ACCEPTED)
        return join([table(head, lines, "runs"), timeline.legend(shown)])

    def _shown_state(self, record: Record) -> str:
        return self.context.lifecycle.shown_state(record, record.body["lifecycleState"])

    def run(self, request: Request, run_id: str) -> Response:
        record = self.context.store.get(RUNS, run_id)
        if record is None:
            return self._not_found("run")
        run = record.body
        name = run["displayName"] or run_id
        top = [tag("h1", name), state_badge(self._shown_state(record))]
        if run["lifecycleState"] in (State.ACCEPTED, State.IN_PROGRESS):
            token = tag("input", type="hidden", name="token", value=self._form_token)
            action = f"/console/runs/{quote(run_id)}/cancel"
            top.append(tag("form", token, tag("button", "Cancel this run"), method="post", action=action))
        body = [tag("div", *top, class_="top")]
        if run["lifecycleDetails"]:
            card_class = "card note" if run["lifecycleState"] == State.FAILED else "card"
            body.append(tag("section", run["lifecycleDetails"], class_=card_class))
        body += [
            self._states(record),
            self._logs(run_id),
            request_card(record.body),
            self._requests_of_run(run_id),
        ]
        as_json = json.dumps(run, indent=2, ensure_ascii=False)
        body.append(details("json", "Run as returned by the API", tag("pre", as_json)))
        return self._page(name, join(body), tab="Runs", live=not has_ended(record))

    def cancel(self, request: Request, run_id: str) -> Response:
        """Cancel a run from the form on its page, and redirect to that page."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if not hmac.compare_digest(form.get("token", "").encode(), self._form_token.encode()):
            raise ApiError(403, "NotAllowed", "This page is from an earlier server. Reload it and try again.")
        record = self.context.store.get(RUNS, run_id)
        if record is None:
            return self._not_found("run")
        # A run that has ended since the page was shown is not an error.
        self.context.lifecycle.cancel(record)
        return Response(303, {"location": f"/console/runs/{quote(run_id)}"})

    def _states(self, record: Record) -> Markup:
        now = self.context.lifecycle.now()
        states = self.context.store.states(record.id)
        row = timeline.spans(states, now)
        scale = timeline.Scale.around([row])
        lines = [
            (
                state_badge(span.state),
                moment(span.begin, row[0].begin if span is not row[0] else None),
                duration(span.seconds) if span.seconds else "",
                details,
            )
            for span, (_, _, details) in zip(row, states, strict=True)
        ]
        read, written = record.body["dataReadInBytes"], record.body["dataWrittenInBytes"]
        numbers = facts(
            [
                ("Duration in progress", self._duration(record)),
                ("OCPUs", record.body["totalOCpu"]),
                ("Read", None if read is None else f"{read:,} bytes"),
                ("Written", None if written is None else f"{written:,} bytes"),
            ]
        )
        bars = tag("div", timeline.bar(row, scale), timeline.axis(scale), class_="tall")
        head = ("State", "Since (UTC)", "Duration", "Details")
        return tag(
            "section", tag("h2", "Timeline"), bars, table(head, lines), tag("br"), numbers, class_="card"
        )

    def _logs(self, run_id: str) -> Markup:
        folder = self.context.logs(run_id)
        parts = []
        for log in (f for f in folder.list() if f.size):
            plain = log.name.removesuffix(".gz")
            href = f"/_local/runs/{quote(run_id)}/logs/{quote(log.name)}"
            tail = folder.tail(plain, _TAIL_BYTES)
            full_log = tag("p", link(href, "Full log"), f" ({log.size:,} bytes stored)", class_="soft")
            text_ = tag("pre", tail, id=f"text-{plain}", data_follow="yes")
            is_open = log.source == "APPLICATION"
            parts.append(details(f"log-{plain}", plain, join([text_, full_log]), is_open))
        none = empty("No output yet.")
        return tag("section", tag("h2", "Logs"), *(parts or [none]), class_="card")

    def _requests_of_run(self, run_id: str) -> Markup:
        """Return the newest requests for this run; empty if there are none."""
        entries = list(self.journal.select(resource_id=run_id))
        if not entries:
            return Markup("")
        counts = Counter(e.operation for e in entries)
        summary = "Requests: " + ", ".join(f"{n} {name}" for name, n in counts.items())
        return tag(
            "section",
            details("calls", summary, _request_table(entries[-_MAX_REQUESTS_OF_RUN:])),
            class_="card",
        )

    # --- Applications, pools and requests -------------------------------------------------------------------

    def applications(self, request: Request) -> Response:
        return self._resources(request, APPLICATIONS, "applications", "application_id")

    def pools(self, request: Request) -> Response:
        return self._resources(request, POOLS, "pools", "pool_id")

    def _resources(self, request: Request, kind: ResourceKind, plural: str, column: str) -> Response:
        records, next_page = self.context.store.page(
            kind, [], "time_created", True, _ROWS_PER_PAGE, request.query().get("page")
        )
        rows = [
            (
                link(f"/console/{plural}/{quote(r.id)}", r.body.get("displayName") or r.id),
                state_badge(r.body["lifecycleState"]),
                r.body["timeCreated"][:19].replace("T", " "),
                r.body.get("language") or _shapes(r.body),
                self.context.store.count(RUNS, [Filter(column, "=", r.id)]),
            )
            for r in records
        ]
        column_name = "Language" if kind is APPLICATIONS else "Shapes"
        listing = table(("Name", "State", "Created (UTC)", column_name, "Runs"), rows)
        none = empty(f"No {plural}.", CREATED_BY, code(_CREATED_BY[plural]))
        title = plural.capitalize()
        body = [
            tag("div", tag("h1", title), class_="top"),
            tag("div", listing if rows else none, class_="card"),
        ]
        if next_page is not None:
            body.append(
                tag("p", link(f"/console/{plural}?{urlencode({'page': next_page})}", f"Older {plural}"))
            )
        return self._page(title, join(body), tab=title)

    def application(self, request: Request, id_: str) -> Response:
        return self._resource(APPLICATIONS, id_, "application", "application_id")

    def pool(self, request: Request, id_: str) -> Response:
        return self._resource(POOLS, id_, "pool", "pool_id")

    def _resource(self, kind: ResourceKind, id_: str, name_of_kind: str, column: str) -> Response:
        record = self.context.store.get(kind, id_)
        if record is None:
            return self._not_found(name_of_kind)
        name = record.body.get("displayName") or id_
        records, _ = self.context.store.page(
            RUNS, [Filter(column, "=", id_)], "time_created", True, _ROWS_PER_PAGE, None
        )
        shown = {k: v for k, v in record.body.items() if v not in (None, "", [], {})}
        body = [
            tag("div", tag("h1", name), state_badge(record.body["lifecycleState"]), class_="top"),
            tag("section", tag("h2", "Runs"), self._run_table(records, empty("No runs.")), class_="card"),
            tag("section", tag("h2", name_of_kind.capitalize()),
                tag("pre", json.dumps(shown, indent=2, ensure_ascii=False), id="body"), class_="card"),
        ]  # fmt: skip
        return self._page(name, join(body), tab=f"{name_of_kind.capitalize()}s", live=True)

    def sql_endpoints(self, request: Request) -> Response:
        records, next_page = self.context.store.page(
            SQL_ENDPOINTS, [], "time_created", True, _ROWS_PER_PAGE, request.query().get("page")
        )
        body = [
            tag("div", tag("h1", "SQL endpoints"), class_="top"),
            tag("div", sql_endpoints.endpoint_table(records), class_="card"),
        ]
        if next_page is not None:
            more = f"{sql_endpoints.PATH}?{urlencode({'page': next_page})}"
            body.append(tag("p", link(more, "Older SQL endpoints")))
        return self._page("SQL endpoints", join(body), tab="SQL endpoints", live=True)

    def sql_endpoint(self, request: Request, id_: str) -> Response:
        record = self.context.store.get(SQL_ENDPOINTS, id_)
        if record is None:
            return self._not_found("SQL endpoint")
        body = sql_endpoints.endpoint_page(record, self.context.lifecycle.work_requests.of_resource(id_))
        return self._page(record.body["displayName"], body, tab="SQL endpoints", live=True)

    def requests(self, request: Request) -> Response:
        entries = list(self.journal.select())
        counts = Counter(f"{e.operation}" for e in entries)
        numbers = facts(sorted(counts.items()))
        newest = _request_table(entries[-_MAX_REQUESTS:])
        none = empty("No requests yet.")
        body = [tag("div", tag("h1", "Requests"), class_="top")]
        if entries:
            body.append(tag("section", numbers, class_="card"))
        body.append(tag("section", newest if entries else none, class_="card"))
        return self._page("Requests", join(body), tab="Requests", live=True)

    # --- All pages ------------------------------------------------------------------------------------------

    def _page(self, title: str, body: Markup, *, tab: str, live: bool = False, status: int = 200) -> Response:
        tabs = [("Runs", "/console/")]
        names = ("Applications", "Pools", "SQL endpoints", "Requests")
        tabs += [(name, f"/console/{name.lower().replace(' ', '-')}") for name in names]
        lifecycle = self.context.lifecycle
        version = self.context.spark_version
        note = f"{lifecycle.engine.name} engine" + (f", Spark {version}" if version else "")
        if isinstance(lifecycle.clock, ManualClock):
            note += f", clock at {rfc3339(lifecycle.now())[:19].replace('T', ' ')} UTC"
        return Page(title, body, live, tab, status).response(tabs, note)

    def unknown(self, request: Request, **_: str) -> Response:
        return self._not_found("page")

    def _not_found(self, kind: str) -> Response:
        title = f"No such {kind}"
        why = "" if kind == "page" else "It may belong to another server, or to another home. "
        body = join([tag("h1", title), tag("p", why, link("/console/", "Show all runs"))])
        return self._page(title, body, tab="", status=404)

    def _duration(self, record: Record) -> str:
        milliseconds = self.context.lifecycle.duration(record, self.context.lifecycle.now())
        return duration(None if milliseconds is None else milliseconds / 1000)


def _origin(record: Record) -> str:
    """Return the task that submitted the run, by its tags, and the end of the run's OCID."""
    tags = record.body.get("freeformTags") or {}
    task = ".".join(tags[name] for name in ("airflow_dag_id", "airflow_task_id") if tags.get(name))
    if task and tags.get("airflow_map_index"):
        task += f"[{tags['airflow_map_index']}]"
    return " · ".join(filter(None, [task, f"…{record.id[-12:]}"]))


def _request_table(entries: list[JournalEntry]) -> Markup:
    """Return a table of requests, newest first."""
    rows = [
        (
            moment(e.time),
            e.operation,
            tag("span", f"{e.status} {e.code or ''}", class_="FAILED state" if e.status >= 400 else None),
            _resource(e.resource_id or ""),
            tag("span", e.user_agent, class_="soft"),
        )
        for e in reversed(entries)
    ]
    return table(("Time (UTC)", "Operation", "Status", "Resource", "Client"), rows)


def _resource(resource_id: str) -> Markup | str:
    if resource_id.startswith("oci://"):
        return resource_id
    if ".dataflowrun." in resource_id:
        return link(f"/console/runs/{quote(resource_id)}", resource_id[-12:])
    return resource_id[-12:]


def _shapes(body: dict[str, Any]) -> str:
    shapes = [c.get("shape") for c in body.get("configurations") or []]
    return ", ".join(str(s) for s in shapes if s)


def _aria_current(is_current: bool) -> str | None:
    return "true" if is_current else None
