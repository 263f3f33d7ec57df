"""Pytest plugin, in pytest sessions of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

HEADER = """
import json, os, urllib.request
import pytest

SUBMIT = {"execute": "oci://b@local/app.py"}
"""


def run_tests(pytester: pytest.Pytester, body: str, *arguments: str, ini: str = "") -> pytest.RunResult:
    pytester.makepyfile(HEADER + body)
    pytester.makeini(f"[pytest]\naddopts = --strict-markers -p no:cacheprovider\n{ini}\n")
    return pytester.runpytest_subprocess(*arguments)


def test_plugin_imports_only_pytest_and_the_standard_library():
    """Pytest loads the plugin wherever the package is installed."""
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import airflow_provider_dataflow.local.testing.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [name for name in done.stdout.split() if not name.startswith("airflow_provider_dataflow")]
    assert set(ours) <= {"contextlib", "typing", "collections.abc", "__future__"}


def test_server_is_shared_and_reset_before_each_test(pytester):
    result = run_tests(
        pytester,
        """
endpoints = set()

@pytest.mark.parametrize("number", [1, 2])
def test_it(dataflow_local, number):
    endpoints.add(dataflow_local.endpoint)
    assert len(endpoints) == 1
    assert dataflow_local.runs == []
    assert dataflow_local.faults() == []
    assert dataflow_local.requests_by_operation == {}
    connection = json.loads(os.environ["AIRFLOW_CONN_OCI_DEFAULT"])
    assert connection["extra"]["service_endpoint"] == dataflow_local.endpoint
    dataflow_local.add_fault("drop", operation="GetRun")
    dataflow_local.fails()

def test_the_variable_is_gone():
    assert "AIRFLOW_CONN_OCI_DEFAULT" not in os.environ
""",
    )
    result.assert_outcomes(passed=3)


PAUSES = """
from airflow_provider_dataflow import polling

def test_with_fixture(dataflow_local):
    assert polling.limited(3600.0) == {expected}
    assert polling.jittered(3600.0) <= {expected}

def test_without_fixture():
    assert polling.limited(3600.0) == 3600.0
"""


@pytest.mark.parametrize(
    ("ini", "expected"),
    [("", 0.1), ("dataflow_local_waits = short", 0.1), ("dataflow_local_waits = real", 3600.0)],
)
def test_waits_are_short_in_tests_with_the_fixture(pytester, ini, expected):
    """tests/contract/test_users_project.py runs a DAG with short waits."""
    result = run_tests(pytester, PAUSES.format(expected=expected), ini=ini)
    result.assert_outcomes(passed=2)


def test_unknown_waits_are_refused(pytester):
    body = "def test_it(dataflow_local):\n    pass\n"
    result = run_tests(pytester, body, ini="dataflow_local_waits = long")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*dataflow_local_waits must be short or real, not 'long'*"])


@pytest.mark.parametrize(
    "message", ["(sqlite3.OperationalError) no such table: dag_run", 'relation "dag_run" does not exist']
)
def test_missing_database_of_airflow_is_named(pytester, message):
    result = run_tests(pytester, f"def test_it(dataflow_local):\n    raise RuntimeError({message!r})\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*airflow db migrate*"])


@pytest.mark.parametrize(
    "test",
    [
        "def test_it(dataflow_local):\n    raise RuntimeError('no such month')\n",
        "def test_of_something_else():\n    raise RuntimeError('no such table: users')\n",
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\n\n"
        "def test_it(dataflow_local):\n    raise Odd\n",
    ],
)
def test_other_failures_say_nothing_of_the_database(pytester, test):
    result = run_tests(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*airflow db migrate*")


def test_missing_extra_is_named(pytester):
    result = run_tests(
        pytester,
        """
import sys
sys.modules["uvicorn"] = None

def test_it(dataflow_local):
    pass

def test_others():
    pass
""",
    )
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*pip install 'airflow-provider-dataflow?local?'*"])


@pytest.mark.parametrize(
    ("arguments", "ini", "mark", "clock"),
    [
        ([], "", "", "system"),
        ([], "dataflow_local_clock = manual", "", "manual"),
        (["--dataflow-local-clock=system"], "dataflow_local_clock = manual", "", "system"),
        (["--dataflow-local-clock=system"], "", '@pytest.mark.dataflow_local(clock="manual")', "manual"),
    ],
)
def test_marker_wins_over_command_line_over_ini(pytester, arguments, ini, mark, clock):
    advance = (
        "dataflow_local.advance(1)"
        if clock == "manual"
        else "pytest.raises(RuntimeError, dataflow_local.advance, 1)"
    )
    result = run_tests(
        pytester, f"\n{mark}\ndef test_it(dataflow_local):\n    {advance}\n", *arguments, ini=ini
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('engine="x"', "*engine must be scripted or spark, not 'x'*"),
        ('"spark"', "*takes only these keyword arguments: engine, clock*"),
        ("speed=2", "*takes only these keyword arguments: engine, clock*"),
    ],
)
def test_wrong_marker_is_refused(pytester, mark, message):
    result = run_tests(
        pytester, f"\n@pytest.mark.dataflow_local({mark})\ndef test_it(dataflow_local): pass\n"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_assert_requests_lists_the_requests(dataflow_local):
    dataflow_local.assert_requests(CreateRun=0)
    with pytest.raises(AssertionError, match=r"CreateRun: 0 instead of 1\. The requests were: none"):
        dataflow_local.assert_requests(CreateRun=1)
