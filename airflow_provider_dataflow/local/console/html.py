"""HTML elements that escape their content, and the frame and headers of a page."""

from __future__ import annotations

import html
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_dataflow.local.console.assets import SCRIPT, STYLE
from airflow_provider_dataflow.local.http.messages import Response

_VOID_ELEMENTS = frozenset({"br", "input"})


class Markup(str):
    """HTML that needs no escaping. Values of all other types are escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escape a value, unless it is markup; ``None`` becomes empty."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape("" if value is None else str(value)))


def tag(element: str, /, *content: object, **attributes: object) -> Markup:
    """Return an element.

    :param attributes: ``class_`` becomes ``class``, ``data_x`` becomes ``data-x``; ``None`` is left out
    """
    pairs = "".join(
        f' {k.rstrip("_").replace("_", "-")}="{html.escape(str(v))}"'
        for k, v in attributes.items()
        if v is not None
    )
    if element in _VOID_ELEMENTS:
        return Markup(f"<{element}{pairs}>")
    return Markup(f"<{element}{pairs}>{join(content)}</{element}>")


def join(parts: Iterable[object], separator: str = "") -> Markup:
    return Markup(text(separator).join(text(p) for p in parts))


def link(href: str, *content: object) -> Markup:
    return tag("a", *content, href=href)


def table(head: Iterable[object], rows: Iterable[Iterable[object]], class_: str | None = None) -> Markup:
    header = tag("tr", *(tag("th", h) for h in head))
    lines = (tag("tr", *(tag("td", c) for c in row)) for row in rows)
    return tag(
        "div", tag("table", tag("thead", header), tag("tbody", *lines), class_=class_), class_="scroll"
    )


#: Step that fills an empty list; the name of an operator follows.
CREATED_BY = "They are created through the API, in Airflow by "


def empty(sentence: str, *next_step: object) -> Markup:
    """Return what is shown instead of an empty list: that it is empty, and how to fill it."""
    return tag("p", sentence, *(" ", *next_step) if next_step else (), class_="empty")


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Return a list of names and values, without the empty values."""
    return tag("dl", *(tag("div", tag("dt", k), tag("dd", v)) for k, v in pairs if v not in (None, "", [])))


def state_badge(state: str) -> Markup:
    return tag("span", state.replace("_", " "), class_=f"state {text(state)}")


def details(id_: str, title: str, content: object, is_open: bool = False) -> Markup:
    """Return a section that can be opened and closed."""
    return tag("details", tag("summary", title), content, id=id_, open="" if is_open else None)


def code(value: object) -> Markup | None:
    """Return a value in a monospaced font; ``None`` if it is empty."""
    return None if value in (None, "") else tag("code", value)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(seconds: float, like: float | None = None) -> Markup:
    """Return a time in UTC.

    :param seconds: since the epoch
    :param like: leave out the date if it is that of this time
    """
    full = datetime.fromtimestamp(seconds, UTC)
    same_day = like is not None and full.date() == datetime.fromtimestamp(like, UTC).date()
    shown = full.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")
    return tag(
        "time",
        shown,
        datetime=full.isoformat(timespec="milliseconds"),
        title=f"{full:%Y-%m-%d %H:%M:%S.%f} UTC",
    )


@dataclass(frozen=True, slots=True)
class Page:
    """Page of the console.

    :param live: keep the page up to date while it is open
    :param tab: name of the tab that the page belongs to
    """

    title: str
    body: Markup
    live: bool = False
    tab: str = ""
    status: int = 200

    def response(self, tabs: Iterable[tuple[str, str]], note: str) -> Response:
        """Return the response.

        :param tabs: names and links
        :param note: text at the right end of the header
        """
        nonce = secrets.token_urlsafe(16)
        navigation = tag(
            "nav",
            *(
                tag("a", name, href=href, aria_current="page" if name == self.tab else None)
                for name, href in tabs
            ),
        )
        head = join(
            [
                Markup('<meta charset="utf-8">'),
                Markup('<meta name="viewport" content="width=device-width,initial-scale=1">'),
                Markup('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
                tag("title", f"{self.title} · Local Data Flow"),
                tag("style", Markup(STYLE), nonce=nonce),
                # Without the script, reload the whole page.
                Markup('<noscript><meta http-equiv="refresh" content="3"></noscript>') if self.live else "",
            ]
        )
        header = tag(
            "header", link("/console/", tag("strong", "Local Data Flow")), navigation, tag("small", note)
        )
        main = tag("main", self.body, id="main", data_live="yes" if self.live else "no")
        script = tag("script", Markup(SCRIPT), nonce=nonce)
        document = tag("html", tag("head", head), tag("body", header, main, script), lang="en")
        headers = {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-store",
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "content-security-policy": (
                f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
                "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; "
                "form-action 'self'"
            ),
        }
        content = f"<!doctype html>{document}".encode("utf-8", "replace")
        return Response(self.status, headers, content)
