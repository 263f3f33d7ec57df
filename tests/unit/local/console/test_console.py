"""Pages of the console, checked without a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from airflow_provider_dataflow.local.console.html import Markup, duration, tag
from airflow_provider_dataflow.local.console.timeline import Scale, Span, bar, spans
from airflow_provider_dataflow.local.engines.base import RunOutcome
from tests.unit.local.api.test_sql_endpoints import SQL_ENDPOINT
from tests.unit.local.api.test_sql_servers import SqlEngine
from tests.unit.local.objects import ObjectClient
from tests.unit.local.support import COMPARTMENT, Local

EVIL = """<script>alert("x")</script>'"&"""


def page(local, path: str = "/console/", status: int = 200) -> str:
    response = local.call("GET", path)
    assert response.status == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    text = response.content().decode()
    Checker().check(text)
    return text


class Checker(HTMLParser):
    """Parser that finds unclosed elements, inline styles that the policy blocks, and external links."""

    def check(self, text: str) -> None:
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        assert "style" not in names
        assert not [n for n in names if n.startswith("on")]
        assert not (names.get("href") or names.get("src") or "").startswith(("http", "//"))
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def token_of(text: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', text)
    assert found
    return found[1]


def test_empty_pages_say_so(local):
    assert "No runs yet." in page(local)
    assert "dataflow-local connection" in page(local)
    assert "No applications." in page(local, "/console/applications")
    assert "CreateOrUpdateApplicationOperator" in page(local, "/console/applications")
    assert "No requests yet." in page(local, "/console/requests")
    assert "No pools." in page(local, "/console/pools")
    assert "No SQL endpoints." in page(local, "/console/sql-endpoints")


def test_runs_have_states_and_durations(local):
    first, second, third = (local.submit(displayName=name) for name in ("one", "two", "three"))
    local.clock.advance(75)
    local.engine.finished(second, RunOutcome(False, "no such month"))
    text = page(local)
    assert f'href="/console/runs/{first}"' in text
    assert "1 min 15 s" in text
    assert "no such month" in text
    assert 'class="bar FAILED"' in text
    assert 'class="bar IN_PROGRESS"' in text
    assert 'data-live="yes"' in text
    active = page(local, "/console/?show=active")
    assert first in active
    assert third in active
    assert second not in active
    assert second in page(local, "/console/?show=failed")
    assert "No canceled runs." in page(local, "/console/?show=canceled")


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ({"airflow_dag_id": "weather", "airflow_task_id": "monthly"}, "weather.monthly · "),
        (
            {"airflow_dag_id": "weather", "airflow_task_id": "monthly", "airflow_map_index": "3"},
            "weather.monthly[3] · ",
        ),
        ({"team": "weather"}, '"why">'),
        (None, '"why">'),
    ],
)
def test_run_has_its_task_and_the_end_of_its_ocid(local, tags, shown):
    run_id = local.submit(displayName="one", freeformTags=tags)
    assert f"{shown}…{run_id[-12:]}</span>" in page(local)


@pytest.mark.parametrize("path", ["/console/foo", "/console/foo/bar", "/console/foo/bar/more"])
def test_unknown_page_is_html_with_a_link(local, path):
    text = page(local, path, status=404)
    assert "No such page" in text
    assert 'href="/console/">Show all runs' in text


def test_many_runs_are_paged(local):
    application = local.application()
    for i in range(51):
        local.submit(application, displayName=f"run {i}")
    text = page(local)
    assert text.count('href="/console/runs/') == 50
    more = re.search(r'href="(/console/\?page=[^"]+)"', text)
    assert more
    assert page(local, more[1]).count('href="/console/runs/') == 1


def test_active_runs_are_paged(local):
    """The filter selects several states: two runs are in progress, the others are queued."""
    application = local.application()
    ended, *active = [local.submit(application) for _ in range(61)]
    local.succeed(ended)
    first = page(local, "/console/?show=active")
    older = re.search(r'href="(/console/\?show=active&amp;page=[^"]+)">Older runs', first)
    assert older
    second = page(local, older[1].replace("&amp;", "&"))
    listed = [re.findall(r'href="/console/runs/([^"]+)"', text) for text in (first, second)]
    assert [len(runs) for runs in listed] == [50, 10]
    assert listed[0] + listed[1] == active[::-1]
    assert "Active 60<" in first
    assert "Older runs" not in second


def test_run_page_shows_request_and_log(local):
    run_id = local.submit(
        displayName="monthly",
        arguments=["--month", "${month}"],
        parameters=[{"name": "month", "value": "2013-01"}],
        configuration={"spark.x": "1"},
        freeformTags={"team": "weather"},
    )
    local.clock.advance(12)
    folder = local.folder / "runs" / run_id / "logs"
    folder.mkdir(parents=True)
    (folder / "spark_application_stdout.log").write_text("rows: 3\n")
    text = page(local, f"/console/runs/{run_id}")
    for expected in ("monthly", "12.0 s", "rows: 3", "--month", "2013-01", "spark.x", "weather", "ACCEPTED"):
        assert expected in text
    assert 'data-live="yes"' in text
    local.succeed(run_id)
    text = page(local, f"/console/runs/{run_id}")
    assert 'data-live="no"' in text
    assert "Cancel this run" not in text
    assert "<noscript>" not in text


def test_user_input_is_escaped(local):
    application = local.application(displayName=EVIL)
    pool = a_pool(local, displayName=EVIL, description=EVIL, freeformTags={"tag": EVIL})
    run_id = local.submit(
        application,
        poolId=pool,
        displayName=EVIL,
        arguments=[EVIL],
        configuration={"spark.x": EVIL},
        freeformTags={"tag": EVIL},
        parameters=[{"name": "x", "value": EVIL}],
    )
    folder = local.folder / "runs" / run_id / "logs"
    folder.mkdir(parents=True)
    (folder / "spark_application_stdout.log").write_text(EVIL)
    local.call("GET", f"/runs/{run_id}", user_agent=EVIL)
    local.engine.finished(run_id, RunOutcome(False, EVIL))
    for path in (
        "/console/",
        f"/console/runs/{run_id}",
        "/console/applications",
        f"/console/applications/{application}",
        "/console/pools",
        f"/console/pools/{pool}",
        "/console/requests",
        "/console/?show=%3Cscript%3E",
    ):
        text = page(local, path)
        assert "<script>alert" not in text
        assert text.count("<script") == 1


def a_pool(local, **fields) -> str:
    details = {
        "compartmentId": COMPARTMENT,
        "displayName": "nightly",
        "configurations": [{"shape": "VM.Standard2.1", "min": 1, "max": 4}],
    }
    pool = local.json("POST", "/pools", details | fields)["id"]
    local.clock.advance(60)
    return pool


def test_application_pages_show_its_runs(local):
    application = local.application(displayName="weather", arguments=["--month", "2013-01"])
    run_id = local.submit(application, displayName="monthly")
    other = local.submit(displayName="of another application")
    text = page(local, "/console/applications")
    row = re.search(rf'<tr><td><a href="/console/applications/{application}".*?</tr>', text)
    assert row
    for expected in (">weather<", "ACTIVE", "PYTHON", "<td>1</td>"):
        assert expected in row[0]
    text = page(local, f"/console/applications/{application}")
    for expected in (
        "<h1>weather</h1>",
        "ACTIVE",
        f"/console/runs/{run_id}",
        "--month",
        "oci://data@ns/app.py",
    ):
        assert expected in text
    assert other not in text
    local.call("POST", f"/applications/{application}/actions/cascadingDeleteApplication")
    assert "DELETED" in page(local, f"/console/applications/{application}")


def test_pool_pages_show_its_runs(local):
    pool = a_pool(local)
    run_id = local.submit(displayName="monthly", poolId=pool)
    local.submit(displayName="of no pool")
    text = page(local, "/console/pools")
    row = re.search(rf'<tr><td><a href="/console/pools/{pool}".*?</tr>', text)
    assert row
    for expected in (">nightly<", "ACTIVE", "VM.Standard2.1", "<td>1</td>"):
        assert expected in row[0]
    text = page(local, f"/console/pools/{pool}")
    for expected in ("<h1>nightly</h1>", "ACTIVE", f"/console/runs/{run_id}", "VM.Standard2.1"):
        assert expected in text
    assert "of no pool" not in text
    local.call("POST", f"/pools/{pool}/actions/stop")
    assert "STOPPING" in page(local, f"/console/pools/{pool}")


def test_sql_endpoint_pages_show_state_url_and_work_requests(local):
    endpoint = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT | {"displayName": EVIL})["id"]
    path = f"/console/sql-endpoints/{endpoint}"
    assert "CREATING" in page(local, path)
    local.clock.advance(1)
    url = local.json("GET", f"/sqlEndpoints/{endpoint}")["jdbcEndpointUrl"]
    for text in (page(local, "/console/sql-endpoints"), page(local, path)):
        assert 'class="state ACTIVE"' in text
        assert f"<code>{url}</code>" in text
        assert 'data-live="yes"' in text
        assert EVIL not in text
    local.call("POST", f"/sqlEndpoints/{endpoint}/actions/stop")
    text = page(local, path)
    assert re.search(r"Stop sql endpoint.*state ACCEPTED.*Create sql endpoint.*state SUCCEEDED", text)
    assert "<code>jdbc:" not in text


def test_failed_sql_endpoint_says_why(tmp_path):
    engine = SqlEngine()
    local = Local(tmp_path, engine=engine)
    endpoint = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT)["id"]
    engine.ended(endpoint, "The bucket <b> does not exist.")
    reason = "The bucket &lt;b&gt; does not exist."
    assert reason in page(local, "/console/sql-endpoints")
    text = page(local, f"/console/sql-endpoints/{endpoint}")
    assert f'<section class="card note">{reason}' in text
    assert f"<td>{reason}</td>" in text


def test_unknown_resource_is_not_found(local):
    assert "No such SQL endpoint" in page(local, "/console/sql-endpoints/x", 404)
    assert "No such run" in page(local, "/console/runs/ocid1.x", 404)
    assert "No such application" in page(local, "/console/applications/%3Cb%3E", 404)


def test_content_security_policy_allows_only_the_own_script(local):
    response = local.call("GET", "/console/")
    policy = response.headers["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert nonce
    assert f'<script nonce="{nonce[1]}">' in response.content().decode()
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert nonce[1] not in local.call("GET", "/console/").headers["content-security-policy"]


def cancel(local, run_id: str, token: str, **headers: str):
    from airflow_provider_dataflow.local.http.messages import Request

    names = {k.replace("_", "-"): v for k, v in headers.items()}
    target = f"/console/runs/{run_id}/cancel"
    return local.service.handle(
        Request("POST", target, {"host": "127.0.0.1:8170"} | names, f"token={token}".encode())
    )


def test_cancel_redirects_to_the_run(local):
    run_id = local.submit()
    token = token_of(page(local, f"/console/runs/{run_id}"))
    response = cancel(local, run_id, token, origin="http://127.0.0.1:8170")
    assert response.status == 303
    assert response.headers["location"] == f"/console/runs/{run_id}"
    assert local.state(run_id) == "CANCELING"
    assert local.engine.cancelled == [run_id]
    assert "Cancel this run" not in page(local, f"/console/runs/{run_id}")
    # Again, as from an outdated page.
    assert cancel(local, run_id, token).status == 303


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}],
)
def test_other_site_cannot_cancel(local, headers):
    run_id = local.submit()
    token = token_of(page(local, f"/console/runs/{run_id}"))
    assert cancel(local, run_id, token, **headers).status == 403
    assert local.state(run_id) == "IN_PROGRESS"


@pytest.mark.parametrize("token", ["", "x", "%ff", "%C3%A9"])
def test_cancel_needs_the_form_token(local, token):
    run_id = local.submit()
    assert cancel(local, run_id, token).status == 403
    assert local.state(run_id) == "IN_PROGRESS"


def test_tag_escapes_its_content():
    assert tag("a", "<", Markup("<b>"), href='"') == '<a href="&quot;">&lt;<b></a>'
    assert [duration(s) for s in (0.04, 59.94, 61, 3725)] == ["0.0 s", "59.9 s", "1 min 01 s", "1 h 02 min"]


def test_timeline_scales_the_periods():
    row = spans([("ACCEPTED", 10, None), ("IN_PROGRESS", 20, None), ("SUCCEEDED", 50, None)], 99)
    assert [s.seconds for s in row] == [10, 30, 0]
    assert spans([("ACCEPTED", 10, None)], 99)[0].seconds == 89
    scale = Scale.around([row])
    assert (scale.begin, scale.end) == (10, 50)
    drawn = bar(row, scale)
    assert 'x="25.000%"' in drawn
    assert 'width="75.000%"' in drawn
    assert 'class="bar SUCCEEDED"' in drawn
    assert "ACCEPTED 10.0 s, IN_PROGRESS 30.0 s" in drawn


@pytest.mark.parametrize("length", [0, 0.5, 7, 3600, 86400 * 3, 86400 * 4000])
def test_axis_has_at_most_seven_marks(length):
    scale = Scale.around([[Span("IN_PROGRESS", 1_767_225_601.5, 1_767_225_601.5 + length)]])
    assert len(scale.marks()) <= 7
    assert all(0 <= scale.percent(m) <= 100 for m in scale.marks())


def test_requests_page_shows_uris_of_objects(local):
    objects = ObjectClient(local)
    objects.put("logs/ocid1.dataflowrun.oc1..x/<b>.log", b"x")
    shown = page(local, "/console/requests")
    assert "oci://data@ns/logs/ocid1.dataflowrun.oc1..x/&lt;b&gt;.log" in shown
    assert "/console/runs/oci" not in shown
