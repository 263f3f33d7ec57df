"""``/console``: pages for people, made on the server, without scripts. The operator's link leads here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.clock import rfc3339
from airflow_provider_dataflow.local.http import Request, Response, Route
from airflow_provider_dataflow.local.lifecycle import has_ended
from airflow_provider_dataflow.local.store import RUNS, Record

_NEWEST = 200
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:0;color:#1b1f24;background:#fff}
header{background:#2b3a4a;padding:.7rem 1.5rem}header a{color:#fff;text-decoration:none;font-weight:600}
main{padding:1rem 1.5rem}table{border-collapse:collapse;width:100%}h1{font-size:1.25rem}h2{font-size:1.05rem}
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid #e3e6ea;vertical-align:top}
th{font-weight:600;color:#59636e}code,pre{font:12px/1.45 ui-monospace,monospace}
pre{background:#f5f6f8;padding:.7rem;overflow:auto;max-height:32rem}
.state{font-weight:600}.SUCCEEDED{color:#16703a}.FAILED{color:#b3261e}.IN_PROGRESS{color:#0b57d0}
.CANCELED,.STOPPED,.CANCELING,.STOPPING{color:#8a5a00}
"""


def _page(title: str, body: str, refresh: bool = False) -> Response:
    reload = '<meta http-equiv="refresh" content="3">' if refresh else ""
    return Response.of_html(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{reload}'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f'<header><a href="/console/">Local Data Flow</a></header><main>{body}</main></body></html>'
    )


def _state(state: str) -> str:
    return f'<span class="state {escape(state)}">{escape(state)}</span>'


def _duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    minutes, seconds = divmod(milliseconds / 1000, 60)
    return f"{int(minutes)} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"


class Console:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        yield Route("ConsoleRoot", "GET", "/", self.runs)
        yield Route("ConsoleRuns", "GET", "/console", self.runs)
        yield Route("ConsoleRun", "GET", "/console/runs/{run_id}", self.run)

    def runs(self, request: Request) -> Response:
        records, _ = self.context.store.page(RUNS, [], "time_created", True, _NEWEST, None)
        rows = "".join(
            f'<tr><td><a href="/console/runs/{escape(r.id)}">{escape(r.body["displayName"] or r.id)}</a></td>'
            f"<td>{_state(r.body['lifecycleState'])}</td><td>{escape(r.body['timeCreated'])}</td>"
            f"<td>{_duration(self._run_duration(r))}</td><td>{escape(r.body['language'] or '')}</td></tr>"
            for r in records
        )
        head = "<tr><th>Run</th><th>State</th><th>Created</th><th>Duration</th><th>Language</th></tr>"
        body = f"<table>{head}{rows}</table>" if records else "<p>There are no runs yet.</p>"
        refresh = any(not has_ended(r) for r in records)
        return _page("Runs", f"<h1>Runs</h1>{body}", refresh)

    def run(self, request: Request, run_id: str) -> Response:
        record = self.context.store.get(RUNS, run_id)
        if record is None:
            response = _page("No such run", "<h1>No such run</h1><p>It may belong to another server.</p>")
            response.status = 404
            return response
        run = record.body
        name = run["displayName"] or run_id
        facts = {
            "Run": f"<code>{escape(run_id)}</code>",
            "State": _state(run["lifecycleState"]),
            "Details": escape(run["lifecycleDetails"] or ""),
            "Main file": f"<code>{escape(run['fileUri'] or '')}</code>",
            "Arguments": "<br>".join(f"<code>{escape(a)}</code>" for a in run["arguments"] or []),
            "Duration": _duration(self._run_duration(record)),
            "Read / written": f"{run['dataReadInBytes'] or 0:,} / {run['dataWrittenInBytes'] or 0:,} bytes",
        }
        table = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in facts.items())
        states = "".join(
            f"<tr><td>{_state(state)}</td><td>{rfc3339(moment)}</td><td>{escape(details or '')}</td></tr>"
            for state, moment, details in self.context.store.states(run_id)
        )
        request_json = escape(json.dumps(run, indent=2, ensure_ascii=False))
        return _page(
            name,
            f"<h1>{escape(name)}</h1><table>{table}</table><h2>States</h2><table>{states}</table>"
            f"<h2>Logs</h2>{self._logs(run_id)}"
            f"<details><summary>The whole run</summary><pre>{request_json}</pre></details>",
            refresh=not has_ended(record),
        )

    def _logs(self, run_id: str) -> str:
        folder = self.context.logs(run_id)
        files = [f for f in folder.list() if f.size]
        parts = []
        for f in files:
            link = f'<a href="/_local/runs/{escape(run_id)}/logs/{escape(f.name)}">{escape(f.name)}</a>'
            text = (
                escape(folder.tail(f.name.removesuffix(".gz"), 16 * 1024))
                if f.source == "APPLICATION"
                else ""
            )
            parts.append(f"<p>{link} ({f.size:,} bytes)</p>" + (f"<pre>{text}</pre>" if text else ""))
        return "".join(parts) or "<p>There are none yet.</p>"

    def _run_duration(self, record: Record) -> int | None:
        return self.context.lifecycle.duration(record, self.context.lifecycle.now())
