"""Write the results of the tests in ``tests/airflow`` to a file for each Airflow release.

``dev/release_table.py`` makes the table in docs/reliability.md from these files.
"""

from __future__ import annotations

import json
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

#: Numbers of the cases at the start of a docstring: ``(7), (8b)``.
CASES = re.compile(r"\((\d+b?c?)\)")


def cases_of(item: Any) -> list[str]:
    """Return the numbers of the cases that the test's docstring begins with."""
    # From its module: the matrix replaces the function of the item.
    function = getattr(item.module, item.originalname, None)
    return CASES.findall((getattr(function, "__doc__", None) or "").partition(":")[0])


class ResultsFile:
    """Plugin that adds the results of this session to ``FOLDER/RELEASE.json``.

    Results of tests that did not run in this session stay as they are.

    :param folder: the folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{version('apache-airflow')}.json"
        self.tests: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report = yield
        name = item.nodeid.removeprefix("tests/airflow/")
        outcome = "failed" if report.failed else report.outcome
        if report.when == "call" or outcome != "passed":
            entry: dict[str, Any] = {"outcome": outcome}
            if hasattr(report, "wasxfail"):
                entry = {"outcome": "expected failure", "reason": report.wasxfail.removeprefix("reason: ")}
            elif report.skipped and isinstance(report.longrepr, tuple):
                entry["reason"] = report.longrepr[2].removeprefix("Skipped: ")
            if cases := cases_of(item):
                entry["cases"] = cases
            self.tests[name] = entry
        return report

    def pytest_sessionfinish(self) -> None:
        if not self.tests:
            return
        before = json.loads(self.path.read_text())["tests"] if self.path.exists() else {}
        content = {
            "date": datetime.now(UTC).date().isoformat(),
            "python": platform.python_version(),
            "tests": dict(sorted((before | self.tests).items())),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(content, indent=1) + "\n")
