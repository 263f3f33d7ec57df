"""The page with usage and cost in a real API server: who sees what, and how a browser shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from airflow_provider_dataflow.compat import browsers_send_token
from airflow_provider_dataflow.cost.mount import HREF
from dev.airflow_rest import wait_until
from dev.airflow_stack import AirflowStack
from tests.browser.conftest import Chromium

HERE = Path(__file__).parent
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
PASSWORDS = {"boss": "b", "reader": "r", "nobody": "n"}
#: Creates DAGs, DAG runs, task instances and XComs in Airflow's database.
FILL = """
import json, sys
from datetime import datetime, timedelta, timezone
from sqlalchemy import insert
from airflow.models.dag import DagModel
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow import settings
from sqlalchemy import text
usage = {"run_seconds": 1800.0, "ocpu_hours": 2.5, "gb_hours": 40.0, "is_upper_bound": False,
         "estimated_cost": 1.25, "currency": sys.argv[1]}
now = datetime.now(timezone.utc)
with create_session() as session:
    session.execute(text("PRAGMA foreign_keys=OFF"))
    session.execute(text("INSERT INTO dag_bundle (name, active) VALUES ('tests', 1)"))
    number = 0
    for dag_id in ("weather", "secret_plans", sys.argv[1]):
        session.add(DagModel(dag_id=dag_id, bundle_name="tests", is_paused=False, is_stale=False))
    session.flush()
    for dag_id in ("weather", "secret_plans", sys.argv[1]):
        for age in range(12):
            number += 1
            session.execute(insert(XComModel).values(
                dag_run_id=number, task_id="run", map_index=-1, key="usage", dag_id=dag_id, run_id=str(age),
                value=json.dumps({**usage, "estimated_cost": 1.25 * (age + 1)}),
                timestamp=now - timedelta(days=age)))
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    home = tmp_path_factory.mktemp("airflow")
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    stack = AirflowStack(
        home,
        home / "dags",
        env={
            "PYTHONPATH": str(HERE),
            "AIRFLOW__CORE__AUTH_MANAGER": "restricted_auth.RestrictedAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "boss:admin,reader:viewer,nobody:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        },
    )
    try:
        stack.migrate()
        subprocess.run([sys.executable, "-c", FILL, HOSTILE], env=stack.env, check=True, timeout=120)
        stack.start_component("api-server")
        wait_until(lambda: answers(stack), "the API server", timeout=120)
        yield stack
    finally:
        stack.stop()


def answers(stack: AirflowStack) -> bool:
    stack.check_alive()
    try:
        return httpx.get(f"{stack.url}/api/v2/version", timeout=5).is_success
    except httpx.TransportError:
        return False


def token(airflow: AirflowStack, user: str) -> str:
    body = {"username": user, "password": PASSWORDS[user]}
    response = httpx.post(f"{airflow.url}/auth/token", json=body, timeout=60).raise_for_status()
    return str(response.json()["access_token"])


def get(airflow: AirflowStack, user: str | None, query: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token(airflow, user)}"} if user else {}
    return httpx.get(f"{airflow.url}/{HREF}{query}", headers=headers, timeout=60)


def test_reader_sees_only_dags_that_they_may_read(airflow: AirflowStack) -> None:
    boss, reader = get(airflow, "boss"), get(airflow, "reader")
    assert boss.status_code == reader.status_code == 200
    assert "secret_plans" in boss.text
    assert "weather" in reader.text
    assert "secret" not in reader.text
    # Twelve runs of each DAG, which cost 1.25 to 15.
    assert "<dd>36</dd>" in boss.text
    assert "<dd>24</dd>" in reader.text
    assert "195.00" in reader.text
    hidden = get(airflow, "reader", "?dag_id=secret_plans")
    # Airflow 3.0 refuses no DAG by name, but the page has none that the user may not read.
    assert hidden.status_code == (403 if browsers_send_token() else 200)
    assert "<td>12</td>" not in hidden.text
    assert "2.50" not in hidden.text


def test_page_of_one_dag_and_period(airflow: AirflowStack) -> None:
    page = get(airflow, "reader", "?dag_id=weather&days=7").text
    assert "<dd>7</dd>" in page
    assert re.findall(r"<td><a [^>]*>(.*?)</a></td>", page) == ["weather"]
    assert "<dd>24</dd>" in get(airflow, "reader", "?days=x%00&dag_id=").text


@pytest.mark.parametrize(("user", "status"), [(None, 401), ("nobody", 403)])
def test_others_see_nothing(airflow: AirflowStack, user: str | None, status: int) -> None:
    for query in ("", "?dag_id=weather"):
        response = get(airflow, user, query)
        assert response.status_code == status
        assert "weather" not in response.text.replace("dag_id%3Dweather", "")
        assert "2.50" not in response.text


def test_wrong_token_is_refused(airflow: AirflowStack) -> None:
    headers = {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}
    response = httpx.get(f"{airflow.url}/{HREF}", headers=headers, timeout=60)
    assert response.status_code in (401, 403)
    assert "weather" not in response.text


def test_page_may_load_nothing(airflow: AirflowStack) -> None:
    response = get(airflow, "boss")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert response.headers["cache-control"] == "no-store"
    assert "<img" not in response.text
    assert "&lt;img src=x" in response.text


@pytest.mark.skipif(not browsers_send_token(), reason="Airflow 3.0 has no menu for the page")
def test_menu_has_the_page(airflow: AirflowStack) -> None:
    headers = {"Authorization": f"Bearer {token(airflow, 'boss')}"}
    plugins = httpx.get(f"{airflow.url}/api/v2/plugins", headers=headers, timeout=60).json()["plugins"]
    (plugin,) = (plugin for plugin in plugins if plugin["name"] == "oci_data_flow")
    (view,) = plugin["external_views"]
    assert (view["href"], view["category"], view["destination"]) == (HREF, "browse", "nav")


class SignedIn:
    """Proxy that adds a user's token to each request, as a browser that is signed in does.

    :param probe: script that is added to each page, and allowed.
    """

    def __init__(self, airflow: AirflowStack, user: str, probe: str = "") -> None:
        headers = {"Authorization": f"Bearer {token(airflow, user)}"}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                response = httpx.get(airflow.url + self.path, headers=headers, timeout=60)
                policy = response.headers.get("content-security-policy")
                if policy and probe:
                    policy = re.sub(r"script-src [^;]*", "script-src 'unsafe-inline'", policy)
                content = response.content + probe.encode()
                self.send_response(response.status_code)
                self.send_header("content-type", response.headers["content-type"])
                if policy:
                    self.send_header("content-security-policy", policy)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> SignedIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


#: Writes down what the browser has made of the page.
PROBE = """
<script>const c = document.documentElement, r = document.querySelectorAll("rect");
document.body.dataset.seen = JSON.stringify({
  overflow: c.scrollWidth - c.clientWidth, bars: r.length, tallest: Math.max(...[...r].map(
  (b) => b.getBoundingClientRect().height)), fill: getComputedStyle(r[0]).fill,
  background: getComputedStyle(document.body).backgroundColor, title: document.title})</script>
"""


@pytest.mark.browser
@pytest.mark.parametrize("size", ["1280,900", "390,800"])
@pytest.mark.parametrize("dark", [False, True])
def test_browser_shows_chart_and_tables(airflow: AirflowStack, tmp_path: Path, size: str, dark: bool) -> None:
    chromium = Chromium(tmp_path)
    with SignedIn(airflow, "boss") as proxy:
        picture = chromium.screenshot(f"{proxy.url}/{HREF}", tmp_path / "page.png", size, dark)
        # A screenshot of an empty or unstyled page is smaller.
        assert picture.stat().st_size > 20_000
    with SignedIn(airflow, "boss", PROBE) as proxy:
        dom = chromium.dom(f"{proxy.url}/{HREF}", 1_000, size, dark)
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found
    seen = json.loads(unescape(found[1]))
    assert seen["bars"] == 30
    assert seen["tallest"] > 100
    assert seen["overflow"] <= 0, "the page is wider than the screen"
    assert seen["title"] == "Data Flow usage and cost"
    colours = (
        ("rgb(91, 156, 245)", "rgb(17, 22, 28)") if dark else ("rgb(31, 111, 235)", "rgb(255, 255, 255)")
    )
    assert (seen["fill"], seen["background"]) == colours


@pytest.mark.browser
@pytest.mark.skipif(not browsers_send_token(), reason="Airflow 3.0 has no menu for the page")
def test_airflows_ui_shows_the_page(airflow: AirflowStack, tmp_path: Path) -> None:
    with SignedIn(airflow, "boss") as proxy:
        dom = Chromium(tmp_path).dom(f"{proxy.url}/plugin/oci-data-flow-cost", 20_000)
    frame = re.search(r"<iframe[^>]*>", dom)
    assert frame
    assert f'src="{HREF}"' in frame[0]
    assert 'title="Data Flow cost"' in frame[0]
