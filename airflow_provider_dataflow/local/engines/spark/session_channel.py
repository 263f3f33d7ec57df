"""Channel to the driver of a SESSION run, ``session_driver.py``."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import StatementOutcome

_SCRIPT = Path(__file__).with_name("session_driver.py")
LANGUAGES = frozenset({"PYTHON", "SQL"})
_POLL_SECONDS = 0.03


def session_arguments(folder: Path, language: str) -> list[str]:
    """Return the arguments of spark-submit for the driver of a SESSION run."""
    return [str(_SCRIPT), str(folder), language]


class SessionChannel:
    """Sends statements to the driver and waits for their results.

    :param folder: folder for the files that server and driver exchange.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, number: int, code: str) -> None:
        """Send a statement; the driver need not be running yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "statement.new"
        temporary.write_text(json.dumps({"number": number, "code": code}))
        os.replace(temporary, self.folder / "statement.json")

    def cancel(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # raised if the session has ended
            (self.folder / f"{number}.cancel").touch()

    def wait(self, number: int, is_alive: Callable[[], bool]) -> StatementOutcome | None:
        """Wait for the outcome of a statement; return ``None`` if the session ends first."""
        path = self.folder / f"{number}.json"
        while not path.exists():
            if not is_alive():
                return None
            time.sleep(_POLL_SECONDS)
        try:
            content = json.loads(path.read_text())
            return StatementOutcome(**{**content, "traceback": tuple(content.get("traceback", ()))})
        except (OSError, ValueError, TypeError):  # deleted at the session's end, or not written by the driver
            return None
