"""Speaks with the driver of a SESSION run, which is ``session.py``."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import StatementOutcome

_SCRIPT = Path(__file__).with_name("session.py")
LANGUAGES = frozenset({"PYTHON", "SQL"})
_POLL_SECONDS = 0.03


def session_arguments(folder: Path, language: str) -> list[str]:
    """What the driver of a session is, to spark-submit."""
    return [str(_SCRIPT), str(folder), language]


class Statements:
    """:param folder: where both sides leave what is for the other"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, number: int, code: str) -> None:
        """May be called before the driver is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "statement.new"
        temporary.write_text(json.dumps({"number": number, "code": code}))
        os.replace(temporary, self.folder / "statement.json")

    def cancel(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # the session has ended
            (self.folder / f"{number}.cancel").touch()

    def wait(self, number: int, is_alive: Callable[[], bool]) -> StatementOutcome | None:
        """The outcome of a statement; ``None`` if the session ends first."""
        path = self.folder / f"{number}.json"
        while not path.exists():
            if not is_alive():
                return None
            time.sleep(_POLL_SECONDS)
        try:
            content = json.loads(path.read_text())
            return StatementOutcome(**{**content, "traceback": tuple(content.get("traceback", ()))})
        except (OSError, ValueError, TypeError):  # swept away with the session, or not the driver's
            return None
