"""The console as a browser shows it: its own policy lets its style and script work, and it follows a run."""

from __future__ import annotations

import re

import pytest

from airflow_provider_dataflow.local.engines.base import Outcome

pytestmark = pytest.mark.browser


def test_runs_as_a_timeline(served, runs, chromium, tmp_path):
    dom = chromium.dom(f"{served.endpoint}/console/")
    assert all(name in dom for name in runs)
    for look in ("SUCCEEDED", "FAILED", "IN_PROGRESS", "CANCELED", "ACCEPTED"):
        assert f'class="bar {look}"' in dom
    picture = chromium.screenshot(f"{served.endpoint}/console/", tmp_path / "runs.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    # An empty or unstyled page compresses to less.
    assert picture.stat().st_size > 20_000


def test_a_run_is_followed_to_its_end(served, runs, chromium):
    """The page is loaded while the run goes on; its script finds what comes after that."""
    run_id = runs["monthly 2013-03"]
    handle = served.local.service.handle

    def going_on(request):
        # Between the page itself and the script's first look at it, whatever the browser's clock does.
        if request.path == f"/console/runs/{run_id}":
            going_on.asked += 1
            if going_on.asked == 2:
                served.write_log(run_id, "the last line\n")
                served.local.clock.advance(5)
                served.local.engine.finished(run_id, Outcome(True))
        return handle(request)

    going_on.asked = 0
    served.local.service.handle = going_on
    dom = chromium.dom(f"{served.endpoint}/console/runs/{run_id}", milliseconds=20_000)
    assert going_on.asked >= 2
    assert "the last line" in dom
    assert 'data-live="no"' in dom
    assert 'class="state SUCCEEDED"' in dom
    assert "Cancel this run" not in dom


def test_the_button_cancels(served, runs, chromium, tmp_path):
    """Pressed by the page itself, as there is no driver of the browser here."""
    run_id = runs["monthly 2013-03"]
    handle = served.local.service.handle

    def pressed(request):
        response = handle(request)
        if request.method == "GET" and request.path == f"/console/runs/{run_id}" and not pressed.done:
            pressed.done = True
            body = response.content().decode()
            assert "Cancel this run" in body
            press = "document.querySelector('form button').click();</script>"
            response.body = body.replace("</script>", press).encode()
        return response

    pressed.done = False
    served.local.service.handle = pressed
    chromium.dom(f"{served.endpoint}/console/runs/{run_id}", milliseconds=3_000)
    assert served.local.state(run_id) == "CANCELING"


def test_another_site_can_neither_cancel_nor_frame(served, runs, chromium, tmp_path):
    run_id = runs["monthly 2013-03"]
    action = f"{served.endpoint}/console/runs/{run_id}/cancel"
    page = tmp_path / "evil.html"
    page.write_text(
        f'<form method="post" action="{action}"><input name="token" value="x"></form>'
        "<script>document.forms[0].submit()</script>"
    )
    assert "NotAllowed" in chromium.dom(page.as_uri(), milliseconds=3_000)
    assert served.local.state(run_id) == "IN_PROGRESS"


def test_hostile_text_stays_text(served, chromium):
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    run_id = served.local.submit(displayName=evil, arguments=[evil])
    served.write_log(run_id, evil)
    for path in ("/console/", f"/console/runs/{run_id}"):
        dom = chromium.dom(f"{served.endpoint}{path}")
        title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
        assert title
        assert title[1] != "owned"
        assert "<img" not in dom
