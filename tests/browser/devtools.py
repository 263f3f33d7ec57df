"""Pages of a headless Chromium, driven by its debugging protocol, and measurements of how they look."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

PHONE_WIDTH = 390
LAPTOP_WIDTH = 1300

#: Widths and color schemes in which every page is looked at.
LOOKS = [(width, dark) for width in (PHONE_WIDTH, LAPTOP_WIDTH) for dark in (False, True)]

#: Tables with fewer columns have to fit on a laptop.
COLUMNS_THAT_SCROLL = 9

#: Text of pages with less contrast to its background is hard to read (WCAG, level AA).
MINIMUM_CONTRAST = 4.5
MINIMUM_CONTRAST_OF_LARGE_TEXT = 3.0

#: Returns the texts whose contrast is too low, with colors and contrast. Opacity and half-transparent
#: backgrounds are taken into account. Text in images and in elements that are not shown is left out.
LOW_CONTRAST = """(minimum, minimumOfLarge) => {
const parse = text => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return {r, g, b, a};
};
const over = (top, below) => {
  const mix = name => top[name] * top.a + below[name] * (1 - top.a);
  return {r: mix("r"), g: mix("g"), b: mix("b"), a: 1};
};
const backgroundOf = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? 18 : 255;
  return layers.reverse().reduce((below, top) => over(top, below), {r: canvas, g: canvas, b: canvas, a: 1});
};
const luminance = ({r, g, b}) => {
  const toLinear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const linear = [r, g, b].map(v => toLinear(v / 255));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const found = {};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
  if (!text || !element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
  if (["SCRIPT", "STYLE", "TEMPLATE"].includes(element.tagName)) continue;
  const style = getComputedStyle(element), background = backgroundOf(element);
  const ink = parse(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
  for (let e = element; e; e = e.parentElement) ink.a *= Number(getComputedStyle(e).opacity);
  const [low, high] = [luminance(over(ink, background)), luminance(background)].sort((a, b) => a - b);
  const contrast = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
  if (contrast < (isLarge ? minimumOfLarge : minimum)) {
    const {r, g, b} = background;
    const colors = `${style.color} on rgb(${[r, g, b].map(Math.round)})`;
    found[`${element.tagName}.${element.className?.baseVal ?? element.className} ${colors}`] =
      `${contrast.toFixed(2)}: ${text.slice(0, 40)}`;
  }
}
return found;
}"""

#: Returns the tables and drawings of which the page shows a part only. ``columns`` is the number of columns
#: from which a table may be in a box of its own that can be scrolled; the whole text is no such box.
CUT_OFF = """(columns) => [...document.querySelectorAll(":is(main, article) :is(table, svg, img)")].filter(
  element => {
    let box = element.parentElement;
    while (box !== document.body && getComputedStyle(box).overflowX === "visible") box = box.parentElement;
    const isWhole = element.getBoundingClientRect().right <= box.getBoundingClientRect().right + 1;
    const isOwnBox = !["BODY", "ARTICLE", "MAIN"].includes(box.tagName);
    const mayScroll = (element.rows?.[0].cells.length ?? columns) >= columns;
    return !isWhole && !(mayScroll && isOwnBox && getComputedStyle(box).overflowX !== "hidden");
  }
).map(element => element.textContent.trim().replace(/\\s+/g, " ").slice(0, 60))"""


class Page:
    """Tab of the browser.

    :param socket: connection to the browser's debugging protocol.
    :param session_id: the tab's.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session_id: str = "") -> None:
        self._socket = socket
        self._session_id = session_id
        self._number = 0
        #: URLs that the tab has requested since the last :meth:`open`.
        self.requested: list[str] = []
        self._is_loaded = False

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json(command | ({"sessionId": self._session_id} if self._session_id else {}))
        while (message := await self._receive()).get("id") != self._number:
            pass
        assert "error" not in message, message
        return message["result"]  # type: ignore[no-any-return]

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.receive_str(timeout=60))
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        elif message.get("method") == "Page.loadEventFired":
            self._is_loaded = True
        return message

    async def open(self, url: str, width: int = LAPTOP_WIDTH, dark: bool = False) -> None:
        """Load a page, on a phone if it is narrow, and wait until all that it needs has been loaded."""
        await self.call("Page.enable")
        await self.call("Network.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width <= PHONE_WIDTH,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        # Pages show nothing in the middle of a transition then.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme, still])
        self.requested, self._is_loaded = [], False
        await self.call("Page.navigate", url=url)
        while not self._is_loaded:
            await self._receive()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, of a promise when it is resolved."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def problems(self, width: int) -> list[str]:
        """Return what is wrong with the look of the page that is open: its width, tables, contrast."""
        found = []
        scroll_width = await self.evaluate("document.documentElement.scrollWidth")
        if scroll_width > width:
            found.append(f"{scroll_width} pixels wide")
        columns = 1 if width <= PHONE_WIDTH else COLUMNS_THAT_SCROLL
        found += [f"cut off: {text}" for text in await self.evaluate(f"({CUT_OFF})({columns})")]
        limits = f"{MINIMUM_CONTRAST}, {MINIMUM_CONTRAST_OF_LARGE_TEXT}"
        low = await self.evaluate(f"({LOW_CONTRAST})({limits})")
        return [*found, *(f"contrast {text} ({where})" for where, text in low.items())]


async def problems_in_all_looks(page: Page, url: str, origin: str) -> list[str]:
    """Return what is wrong with a page in each width and color scheme, and its requests to other hosts."""
    found = []
    for width, dark in LOOKS:
        await page.open(url, width, dark)
        look = f"{width}{' dark' if dark else ''}"
        found += [f"{look}: {problem}" for problem in await page.problems(width)]
        foreign = {u for u in page.requested if not u.startswith((f"{origin}/", "data:", "blob:"))}
        found += [f"{look}: requests {u}" for u in sorted(foreign)]
    return found


@contextmanager
def running_browser(command: list[str], profile: Path) -> Iterator[str]:
    """Start the browser and yield the URL of its debugging protocol.

    :param command: of a browser without a window.
    :param profile: new folder.
    """
    arguments = ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
        while not (port_file.exists() and len(lines := port_file.read_text().splitlines()) == 2):
            assert process.poll() is None, "the browser has ended"
            assert time.monotonic() < deadline, "the browser does not start"
            time.sleep(0.05)
        yield f"ws://127.0.0.1:{lines[0]}{lines[1]}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@asynccontextmanager
async def new_page(url: str) -> AsyncIterator[Page]:
    """Open a tab, and close it at the end.

    :param url: of the browser's debugging protocol.
    """
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        browser = Page(socket)
        target = (await browser.call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await browser.call("Target.attachToTarget", targetId=target, flatten=True)
        yield Page(socket, attached["sessionId"])
        await browser.call("Target.closeTarget", targetId=target)
