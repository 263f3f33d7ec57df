"""Colours and progress, on a terminal only: output to a pipe or file stays plain."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "grey": 90, "bold": 1}
_OF_STATE = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "IN_PROGRESS": "blue",
    "ACCEPTED": "grey",
    "CANCELING": "yellow",
    "CANCELED": "yellow",
    "STOPPING": "yellow",
    "STOPPED": "yellow",
}
_CLEAR_LINE = "\r\x1b[K"


def is_terminal(stream: TextIO | None) -> bool:
    """:param stream: ``None``: it was closed before the program started"""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colours(stream: TextIO | None) -> bool:
    """Whether to colour; ``NO_COLOR`` with any value but an empty one forbids it (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    if not has_colours(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def state(name: str, width: int = 0) -> str:
    return paint(f"{name:<{width}}", _OF_STATE.get(name, "bold"))


def printable(text: str) -> str:
    """Return the text on one line, without control characters that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)


class Progress:
    """Line on stderr that says what the command waits for; removed before other output."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, text: str) -> None:
        if is_terminal(sys.stderr):
            sys.stderr.write(_CLEAR_LINE + paint(printable(text), "grey", sys.stderr))
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
            self._shown = False


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Show progress while something works that writes nothing itself."""
    progress, done = Progress(), threading.Event()

    def show_seconds() -> None:
        seconds = 0
        while not done.wait(1):
            seconds += 1
            progress.show(f"{text} ({seconds} s)")

    thread = threading.Thread(target=show_seconds, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        progress.clear()
