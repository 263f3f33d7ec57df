"""Write the table of results by Airflow release into docs/reliability.md: ``python -m dev.release_table``.

The results are those in ``tests/airflow/results``. A test session writes them there if
``DATAFLOW_TEST_RESULTS`` names that folder. ``make ci-full`` does both.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "tests" / "airflow" / "results"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- results by release -->", "<!-- end of results by release -->"


def natural(text: str) -> list[Any]:
    """Return a key that sorts numbers in a text by value."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


class ReleaseTable:
    """Markdown table with a row for each test function and a column for each release.

    :param results: content of the results files, by release.
    """

    def __init__(self, results: dict[str, dict[str, Any]]) -> None:
        self.results = dict(sorted(results.items(), key=lambda entry: natural(entry[0])))
        self.notes: list[str] = []

    def lines(self) -> list[str]:
        """Return the lines of the table and of its notes."""
        releases = list(self.results)
        rows = [
            f"| {', '.join(cases)} | `{name}` | "
            + " | ".join(self._cell(outcomes.get(release, [])) for release in releases)
            + " |"
            for name, cases, outcomes in self._functions()
        ]
        head = [f"| Case | Test | {' | '.join(releases)} |", "| --- | --- |" + " --- |" * len(releases)]
        ran = ", ".join(
            f"{release} on {content['date']} with Python {content['python']}"
            for release, content in self.results.items()
        )
        notes = [f"{number}. {note}" for number, note in enumerate(self.notes, start=1)]
        return [f"Run: {ran}.", "", *head, *rows, *([""] if notes else []), *notes]

    def _functions(self) -> list[tuple[str, list[str], dict[str, list[dict[str, Any]]]]]:
        """Return name, cases, and results by release of each test function, those with a case first."""
        found: dict[str, tuple[set[str], dict[str, list[dict[str, Any]]]]] = {}
        for release, content in self.results.items():
            for node_id, entry in content["tests"].items():
                cases, outcomes = found.setdefault(node_id.partition("::")[2].partition("[")[0], (set(), {}))
                cases.update(entry.get("cases", []))
                outcomes.setdefault(release, []).append(entry)
        rows = [(name, sorted(cases, key=natural), outcomes) for name, (cases, outcomes) in found.items()]
        return sorted(rows, key=lambda row: (not row[1], natural(" ".join(row[1])), row[0]))

    def _cell(self, entries: list[dict[str, Any]]) -> str:
        if not entries:
            return "not run"
        outcomes = {entry["outcome"] for entry in entries}
        if "failed" in outcomes:
            passed = sum(entry["outcome"] == "passed" for entry in entries)
            return f"**fails** ({passed} of {len(entries)} pass)" if passed else "**fails**"
        numbers = sorted({self._note(entry["reason"]) for entry in entries if "reason" in entry})
        marks = ", ".join(f"({number})" for number in numbers)
        if outcomes == {"expected failure"}:
            return f"no {marks}"
        if outcomes == {"skipped"}:
            return f"not run {marks}"
        return f"partly {marks}" if numbers else "yes"

    def _note(self, text: str) -> int:
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1


def main() -> None:
    results = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    before, begin, rest = PAGE.read_text().partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not (begin and end):
        raise SystemExit(f"{PAGE.name}: expected the lines {BEGIN} and {END}")
    PAGE.write_text("\n".join([before + BEGIN, *ReleaseTable(results).lines(), END, ""]) + after)


if __name__ == "__main__":
    main()
