"""Headless Chromium, if it is installed, and a Local Data Flow with example runs."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvicorn

from airflow_provider_dataflow.local.engines.base import RunOutcome
from airflow_provider_dataflow.local.http.asgi import asgi_app
from tests.browser.devtools import Page, new_page, running_browser
from tests.unit.local.support import Local

# Prevents requests to hosts of the vendor, for example for updates and fonts.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def path_of_chromium() -> str:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    return path


class Chromium:
    """:param folder: for a new profile of each page load."""

    def __init__(self, folder: Path) -> None:
        self._command = path_of_chromium()
        self._folder = folder
        self._number = 0

    def _run(self, *arguments: str) -> bytes:
        self._number += 1
        profile = self._folder / f"profile{self._number}"
        command = [self._command, *_FLAGS, f"--user-data-dir={profile}", *arguments]
        return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout

    def dom(self, url: str, milliseconds: int = 0, size: str = "1280,800", dark: bool = False) -> str:
        """Return the document after scripts have run for ``milliseconds`` of the browser's virtual time."""
        budget = [f"--virtual-time-budget={milliseconds}"] if milliseconds else []
        return self._run(*budget, *_look(size, dark), "--dump-dom", url).decode()

    def screenshot(self, url: str, path: Path, size: str = "1280,800", dark: bool = False) -> Path:
        self._run(*_look(size, dark), f"--screenshot={path}", url)
        return path


def _look(size: str, dark: bool) -> list[str]:
    theme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    return [*theme, f"--window-size={size}"]


@pytest.fixture
def chromium(tmp_path) -> Chromium:
    return Chromium(tmp_path)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[str]:
    """Start a browser for the tests of a file; the URL of its debugging protocol."""
    profile = tmp_path_factory.mktemp("chromium") / "profile"
    with running_browser([path_of_chromium(), *_FLAGS], profile) as url:
        yield url


@pytest.fixture
async def page(browser) -> AsyncIterator[Page]:
    async with new_page(browser) as page:
        yield page


class ConsoleServer:
    """Serves Local Data Flow from a thread, with a clock that the test advances."""

    def __init__(self, folder: Path) -> None:
        self.local = Local(folder, limit=3)
        self.local.engine.name = "scripted"
        config = uvicorn.Config(
            asgi_app(self.local.service), port=0, log_config=None, lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> ConsoleServer:
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def endpoint(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def write_log(self, run_id: str, text: str, name: str = "spark_application_stdout.log") -> None:
        folder = self.local.folder / "runs" / run_id / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / name, "a") as f:
            f.write(text)


def submit_example_runs(server: ConsoleServer) -> dict[str, str]:
    """Submit at least one run in each state, as in the documentation's screenshot; return ids by name."""
    local = server.local
    clock, runs = local.clock, {}
    application = local.application(displayName="weather", fileUri="oci://weather@local/monthly.py")

    def submit(name: str, **fields: object) -> None:
        runs[name] = local.submit(application, displayName=name, **fields)

    def end(name: str, outcome: RunOutcome) -> None:
        local.engine.finished(runs[name], outcome)

    submit("monthly 2013-01")
    clock.advance(95)
    submit("monthly 2013-02")
    clock.advance(40)
    submit("station-list")
    clock.advance(25)
    end("station-list", RunOutcome(True, bytes_read=48_112, bytes_written=9_020))
    clock.advance(50)
    submit("monthly 2013-13")
    clock.advance(60)
    end("monthly 2013-01", RunOutcome(True, bytes_read=7_812_004, bytes_written=48_211))
    submit("join-airports")
    clock.advance(30)
    details = "The application failed with exit code 1: ValueError: no such month: 2013-13"
    end("monthly 2013-13", RunOutcome(False, details))
    clock.advance(60)
    local.call("DELETE", f"/runs/{runs['join-airports']}")
    clock.advance(15)
    end("join-airports", RunOutcome(False))
    submit(
        "monthly 2013-03",
        arguments=["--month", "${month}", "--to", "oci://weather@local/monthly/"],
        parameters=[{"name": "month", "value": "2013-03"}],
        configuration={"spark.sql.shuffle.partitions": "8"},
        freeformTags={"team": "weather"},
    )
    clock.advance(20)
    submit("backfill 2012")
    clock.advance(10)
    submit("backfill 2011")
    clock.advance(80)
    server.write_log(
        runs["monthly 2013-03"],
        "reading oci://weather@local/raw/month=2013-03/\nrows: 2,213\n"
        "writing oci://weather@local/monthly/month=2013-03/\n",
    )
    return runs


@pytest.fixture
def server(tmp_path) -> Iterator[ConsoleServer]:
    with ConsoleServer(tmp_path / "service") as server:
        yield server


@pytest.fixture
def runs(server) -> dict[str, str]:
    return submit_example_runs(server)
