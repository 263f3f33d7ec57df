from __future__ import annotations

from dev.release_table import ReleaseTable


def content(**tests: dict) -> dict:
    return {"date": "2026-11-28", "python": "3.11.7", "tests": tests}


def row(lines: list[str], name: str) -> list[str]:
    (found,) = (line for line in lines if f"`{name}`" in line)
    return [cell.strip() for cell in found.strip("|").split("|")]


PASSED = {"outcome": "passed", "cases": ["7"]}
FAILED = {"outcome": "failed", "cases": ["7"]}
EXPECTED = {"outcome": "expected failure", "reason": "Airflow's own fault.", "cases": ["7"]}


def table(*of_releases: dict) -> list[str]:
    return ReleaseTable({f"3.{number}.10": each for number, each in enumerate(of_releases)}).lines()


def test_cell_combines_the_parameters_of_a_test():
    lines = table(
        content(**{"m.py::test_a[x]": PASSED, "m.py::test_a[y]": PASSED}),
        content(**{"m.py::test_a[x]": PASSED, "m.py::test_a[y]": FAILED}),
        content(**{"m.py::test_a[x]": PASSED, "m.py::test_a[y]": EXPECTED}),
        content(**{"m.py::test_a[x]": EXPECTED}),
        content(**{"m.py::test_a[x]": FAILED}),
        content(),
    )
    assert row(lines, "test_a") == [
        "7",
        "`test_a`",
        "yes",
        "**fails** (1 of 2 pass)",
        "partly (1)",
        "no (1)",
        "**fails**",
        "not run",
    ]
    assert lines[-1] == "1. Airflow's own fault."


def test_a_skipped_test_is_not_called_successful():
    skipped = {"outcome": "skipped", "reason": "No record."}
    lines = table(content(**{"m.py::test_a": skipped}))
    assert row(lines, "test_a")[-1] == "not run (1)"


def test_rows_are_in_the_order_of_the_cases_and_columns_in_that_of_the_releases():
    tests = {
        "m.py::test_other": {"outcome": "passed"},
        "m.py::test_ten": {"outcome": "passed", "cases": ["10"]},
        "m.py::test_nine": {"outcome": "passed", "cases": ["9"]},
    }
    lines = ReleaseTable({"3.10.0": content(**tests), "3.9.0": content(**tests)}).lines()
    assert "| 3.9.0 | 3.10.0 |" in lines[2]
    assert [line.split("`")[1] for line in lines[4:]] == ["test_nine", "test_ten", "test_other"]
