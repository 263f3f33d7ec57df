"""Progress output on a terminal or in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO


class Progress:
    """Print lines with the elapsed time; on a terminal, keep a status line with a running clock."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self.stream = stream
        self.started = time.monotonic()
        self._status = ""
        self._lock = threading.Lock()
        self.live = stream.isatty()
        if self.live:
            threading.Thread(target=self._tick, daemon=True).start()

    def line(self, text: str) -> None:
        """Print a permanent line."""
        with self._lock:
            self._erase()
            self._write(f"{self._elapsed()}  {text}\n")
            self._draw()

    def status(self, text: str) -> None:
        """Set the status: updated in place on a terminal, elsewhere printed when it changes."""
        with self._lock:
            if self.live:
                self._erase()
                self._status = text
                self._draw()
            elif text != self._status:
                self._status = text
                self._write(f"{self._elapsed()}  {text}\n")

    def done(self) -> None:
        """Remove the status line."""
        with self._lock:
            self._erase()
            self._status = ""

    def _tick(self) -> None:
        while True:
            time.sleep(1)
            with self._lock:
                self._erase()
                self._draw()

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        return f"{minutes}:{seconds:02}"

    def _draw(self) -> None:
        if self.live and self._status:
            self._write(f"{self._elapsed()}  {self._status} ...")

    def _erase(self) -> None:
        if self.live and self._status:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Align the columns of ``rows``, the first of which is the header."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
