"""Table of SQL endpoints, and the cards of the page of one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from airflow_provider_dataflow.local.console.html import (
    CREATED_BY,
    Markup,
    code,
    empty,
    facts,
    join,
    link,
    moment,
    state_badge,
    table,
    tag,
)
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.clock import from_rfc3339
from airflow_provider_dataflow.local.state.store import Record

#: Path of the list; that of an endpoint is below it.
PATH = "/console/sql-endpoints"


def endpoint_table(records: Iterable[Record]) -> Markup:
    rows = [
        (
            join(
                [
                    link(f"{PATH}/{quote(record.id)}", record.body["displayName"]),
                    tag("span", why, class_="why") if (why := record.body["stateMessage"]) else "",
                ]
            ),
            state_badge(record.body["lifecycleState"]),
            moment(from_rfc3339(record.body["timeCreated"])),
            code(record.body["jdbcEndpointUrl"]),
        )
        for record in records
    ]
    if not rows:
        return empty(
            "No SQL endpoints.",
            CREATED_BY,
            code("CreateOrUpdateSqlEndpointOperator"),
        )
    return table(("Name", "State", "Created (UTC)", "JDBC URL"), rows)


def endpoint_page(record: Record, work_requests: Iterable[Record]) -> Markup:
    """Return the content of the page of an endpoint.

    :param work_requests: those of the endpoint, newest first.
    """
    body = record.body
    parts = [tag("div", tag("h1", body["displayName"]), state_badge(body["lifecycleState"]), class_="top")]
    if body["stateMessage"]:
        has_failed = body["lifecycleState"] == "FAILED"
        parts.append(tag("section", body["stateMessage"], class_="card note" if has_failed else "card"))
    shown = {name: value for name, value in body.items() if value not in (None, "", [], {})}
    parts += [
        tag(
            "section",
            facts(
                [
                    ("JDBC URL", code(body["jdbcEndpointUrl"])),
                    ("Warehouse", code(body["warehouseBucketUri"])),
                    ("Executors", f"{body['minExecutorCount']} to {body['maxExecutorCount']}"),
                ]
            ),
            class_="card",
        ),
        tag("section", tag("h2", "Work requests"), _work_request_table(work_requests), class_="card"),
        tag("section", tag("h2", "SQL endpoint"),
            tag("pre", json.dumps(shown, indent=2, ensure_ascii=False), id="body"), class_="card"),
    ]  # fmt: skip
    return join(parts)


def _work_request_table(records: Iterable[Record]) -> Markup:
    rows = [
        (
            tag("span", record.body["operation"].replace("_", " ").capitalize()),
            state_badge(record.body["status"]),
            _time(record.body, "timeAccepted"),
            _time(record.body, "timeFinished"),
            "; ".join(error["message"] for error in record.internal.get("errors", ())),
        )
        for record in records
    ]
    if not rows:
        return tag("p", "No work requests.", class_="empty")
    return table(("Operation", "Status", "Accepted (UTC)", "Finished (UTC)", "Error"), rows)


def _time(body: JSON, name: str) -> Markup | str:
    return moment(from_rfc3339(body[name])) if body[name] else ""
