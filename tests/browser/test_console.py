"""The console in a browser: styles and scripts work under its content security policy, and pages update."""

from __future__ import annotations

import re

import pytest

from airflow_provider_dataflow.local.engines.base import RunOutcome
from tests.browser.devtools import PHONE_WIDTH, problems_in_all_looks
from tests.unit.local.api.test_pools import POOL
from tests.unit.local.api.test_sql_endpoints import SQL_ENDPOINT
from tests.unit.local.support import COMPARTMENT

pytestmark = pytest.mark.browser


def test_run_list_shows_timeline_with_states(server, runs, chromium, tmp_path):
    dom = chromium.dom(f"{server.endpoint}/console/")
    assert all(name in dom for name in runs)
    for state in ("SUCCEEDED", "FAILED", "IN_PROGRESS", "CANCELED", "ACCEPTED"):
        assert f'class="bar {state}"' in dom
    picture = chromium.screenshot(f"{server.endpoint}/console/", tmp_path / "runs.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    # A screenshot of an empty or unstyled page is smaller.
    assert picture.stat().st_size > 20_000


def test_run_page_updates_until_run_ends(server, runs, chromium):
    """The page is loaded while the run is active; its script shows the later log line and the end."""
    run_id = runs["monthly 2013-03"]
    handle = server.local.service.handle

    def end_run_at_first_update(request):
        # The second request for the page is the first update by its script.
        if request.path == f"/console/runs/{run_id}":
            end_run_at_first_update.page_requests += 1
            if end_run_at_first_update.page_requests == 2:
                server.write_log(run_id, "the last line\n")
                server.local.clock.advance(5)
                server.local.engine.finished(run_id, RunOutcome(True))
        return handle(request)

    end_run_at_first_update.page_requests = 0
    server.local.service.handle = end_run_at_first_update
    dom = chromium.dom(f"{server.endpoint}/console/runs/{run_id}", milliseconds=20_000)
    assert end_run_at_first_update.page_requests >= 2
    assert "the last line" in dom
    assert 'data-live="no"' in dom
    assert 'class="state SUCCEEDED"' in dom
    assert "Cancel this run" not in dom


def test_cancel_button_cancels_run(server, runs, chromium, tmp_path):
    """An injected script presses the button, because no browser driver is installed."""
    run_id = runs["monthly 2013-03"]
    handle = server.local.service.handle

    def inject_press(request):
        response = handle(request)
        if request.method == "GET" and request.path == f"/console/runs/{run_id}" and not inject_press.done:
            inject_press.done = True
            body = response.content().decode()
            assert "Cancel this run" in body
            press = "document.querySelector('form button').click();</script>"
            response.body = body.replace("</script>", press).encode()
        return response

    inject_press.done = False
    server.local.service.handle = inject_press
    chromium.dom(f"{server.endpoint}/console/runs/{run_id}", milliseconds=3_000)
    assert server.local.state(run_id) == "CANCELING"


def test_form_of_another_site_cannot_cancel_run(server, runs, chromium, tmp_path):
    run_id = runs["monthly 2013-03"]
    action = f"{server.endpoint}/console/runs/{run_id}/cancel"
    page = tmp_path / "other_site.html"
    page.write_text(
        f'<form method="post" action="{action}"><input name="token" value="x"></form>'
        "<script>document.forms[0].submit()</script>"
    )
    assert "NotAllowed" in chromium.dom(page.as_uri(), milliseconds=3_000)
    assert server.local.state(run_id) == "IN_PROGRESS"


def test_markup_in_names_and_logs_is_escaped(server, chromium):
    markup = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    run_id = server.local.submit(displayName=markup, arguments=[markup])
    server.write_log(run_id, markup)
    for path in ("/console/", f"/console/runs/{run_id}"):
        dom = chromium.dom(f"{server.endpoint}{path}")
        title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
        assert title
        assert title[1] != "owned"
        assert "<img" not in dom


def test_sql_endpoint_page_updates_when_its_state_changes(server, chromium):
    local = server.local
    endpoint = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT)["id"]
    path = f"/console/sql-endpoints/{endpoint}"
    handle = local.service.handle
    page_requests = 0

    def advance_at_first_update(request):
        nonlocal page_requests
        if request.path == path:
            page_requests += 1
            if page_requests == 2:
                local.clock.advance(1000)
        return handle(request)

    local.service.handle = advance_at_first_update
    dom = chromium.dom(f"{server.endpoint}{path}", milliseconds=20_000)
    assert page_requests >= 2
    assert 'class="state ACTIVE"' in dom
    assert "<code>jdbc:" in dom


@pytest.fixture
def addresses(server, runs) -> dict[str, str]:
    """Return the path of a page of each kind."""
    local = server.local
    local.call("GET", f"/runs/{runs['backfill 2011']}")
    [application] = local.json("GET", f"/applications?compartmentId={COMPARTMENT}")
    endpoint = local.json("POST", "/sqlEndpoints", SQL_ENDPOINT)["id"]
    pool = local.json("POST", "/pools", POOL)["id"]
    return {
        "runs": "",
        "failed runs": "?show=failed",
        "active run": f"runs/{runs['monthly 2013-03']}",
        "failed run": f"runs/{runs['monthly 2013-13']}",
        "applications": "applications",
        "application": f"applications/{application['id']}",
        "pools": "pools",
        "pool": f"pools/{pool}",
        "SQL endpoints": "sql-endpoints",
        "SQL endpoint": f"sql-endpoints/{endpoint}",
        "requests": "requests",
        "unknown page": "foo",
    }


PAGES = (
    "runs", "failed runs", "active run", "failed run", "applications", "application", "pools", "pool",
    "SQL endpoints", "SQL endpoint", "requests", "unknown page",
)  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
async def test_page_is_readable_on_phone_and_laptop_in_light_and_dark(server, addresses, page, name):
    url = f"{server.endpoint}/console/{addresses[name]}"
    problems = await problems_in_all_looks(page, url, server.endpoint)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", ["", "applications", "pools", "sql-endpoints", "requests"])
async def test_empty_page_is_readable(server, page, name):
    problems = await problems_in_all_looks(page, f"{server.endpoint}/console/{name}", server.endpoint)
    assert not problems, "\n".join(problems)


async def test_names_are_not_broken_letter_by_letter(server, runs, page):
    await page.open(f"{server.endpoint}/console/", PHONE_WIDTH)
    cells = '[...document.querySelectorAll(".runs td:first-child")].map(e => e.offsetWidth)'
    assert min(await page.evaluate(cells)) >= 150
