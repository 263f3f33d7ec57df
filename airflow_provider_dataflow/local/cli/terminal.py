"""Output of the command line: coloured on a terminal, plain in a pipe or file."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

_COLOUR_CODES = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "grey": 90, "bold": 1}
_COLOUR_OF_STATE = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "IN_PROGRESS": "blue",
    "ACCEPTED": "grey",
    "CANCELING": "yellow",
    "CANCELED": "yellow",
    "STOPPING": "yellow",
    "STOPPED": "yellow",
    # Of SQL endpoints.
    "ACTIVE": "green",
    "CREATING": "blue",
    "UPDATING": "blue",
    "INACTIVE": "grey",
    "DELETING": "yellow",
    "DELETED": "grey",
}
_CLEAR_LINE = "\r\x1b[K"


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal.

    :param stream: ``None``: it was closed before the program started
    """
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colours(stream: TextIO | None) -> bool:
    """Return whether to use colours; a non-empty ``NO_COLOR`` disables them (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return the text in a colour, if the stream (by default stdout) has colours."""
    if not has_colours(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOUR_CODES[colour]}m{text}\x1b[0m"


def paint_state(name: str, width: int = 0) -> str:
    """Return a lifecycle state in its colour, padded to a width."""
    return paint(f"{name:<{width}}", _COLOUR_OF_STATE.get(name, "bold"))


def printable(text: str) -> str:
    """Return the text on one line, with control characters replaced by spaces."""
    return "".join(c if c.isprintable() else " " for c in text)


class ProgressLine:
    """Line on a terminal's stderr that shows what the command is waiting for; cleared before other output."""

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
def show_progress(text: str) -> Iterator[None]:
    """Show a text and the elapsed seconds until the block ends."""
    progress, done = ProgressLine(), threading.Event()

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


def print_text(text: str) -> None:
    """Print a text without a line feed, and flush it, unless stdout is closed."""
    if sys.stdout is not None:
        sys.stdout.write(text)
        sys.stdout.flush()


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def flush_stdout() -> None:
    """Flush stdout. Text that cannot be written is discarded, so that Python does not try again at exit.

    :raises OSError: the text could not be written, because the reading program has ended or the disk is full
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
