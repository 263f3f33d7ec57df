"""The built documentation in a browser: readable in every size and color, without network, and searchable."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser.devtools import problems_in_all_looks

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]

#: One page of each kind, and those with the widest tables.
PAGES = [
    "index",
    "quickstart",
    "troubleshooting",
    "reliability",
    "architecture",
    "performance",
    "connection",
    "support",
    "operators/run",
    "operators/inputs",
    "howto/index",
    "howto/iam-policies",
    "howto/from-terraform",
    "reference/invoke_run",
    "reference/models",
    "local/pytest",
    "search",
    "genindex",
]

#: Page that has to be among the first results of a search for a word.
SEARCHES = {
    "troubleshoot": "troubleshooting.html",
    "401": "troubleshooting.html",
    "OutOfMemory": "troubleshooting.html",
    "OutOfMemoryError": "troubleshooting.html",
    "BashOperator": "howto/from-bash-operator.html",
    "RunLost": "troubleshooting.html",
    "deferred": "troubleshooting.html",
    "session token": "howto/sign-in.html",
    "OKE": "howto/sign-in.html",
    "backfill": "howto/backfill.html",
}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Build the documentation as ``make docs`` does, which only reads what has changed, and serve it."""
    html = ROOT / "docs" / "_build" / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-a", "-b", "html", "docs", str(html)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=html)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize("path", PAGES)
async def test_page_is_readable_on_phone_and_laptop_in_light_and_dark(site, page, path):
    problems = await problems_in_all_looks(page, f"{site}/{path}.html", site)
    assert not problems, "\n".join(problems)


RESULTS = """new Promise(resolve => {
  const links = () => [...document.querySelectorAll("#search-results ul.search li > a")].map(a => a.href);
  const summary = () => document.querySelector("#search-results .search-summary")?.textContent ?? "";
  // The summary says the number of results as soon as all of them are listed.
  const look = () => /finished|did not match/.test(summary()) ? resolve(links()) : setTimeout(look, 50);
  look();
})"""


@pytest.mark.parametrize("words", SEARCHES)
async def test_search_finds_the_right_page(site, page, words):
    await page.open(f"{site}/search.html?q={quote(words)}")
    links = [link.removeprefix(f"{site}/") for link in await page.evaluate(RESULTS)]
    assert SEARCHES[words] in [link.partition("#")[0].partition("?")[0] for link in links[:5]], links
    assert all(u.startswith((site, "data:")) for u in page.requested)
