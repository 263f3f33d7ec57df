"""Reading of the driver's output from a task's log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dev import demo
from dev.demo import Demo, driver_output

HEADING = "Driver's stdout (spark_application_stdout.log.gz):"
RESULT = "2013-01: 8,000 hours of weather"
#: The triggerer has copied one line while the run was in progress, the resumed worker the rest.
RESUMED = [
    "::group::Log message source details sources=[...]",
    "::endgroup::",
    "Submitted run ocid1.run.oc1..a",
    "::group::Post Execute",
    HEADING,
    "reading",
    "Trigger fired event",
    "::group::Pre Execute",
    "DAG bundles loaded: dags-folder",
    "::endgroup::",
    HEADING,
    "two\nlines",
    "",
    RESULT,
    "::group::Post Execute",
    "Task instance in success state",
]


def test_driver_output_is_read_before_and_after_the_resume():
    expected = [HEADING, "reading", "Trigger fired event", HEADING, "two", "lines", RESULT]
    assert driver_output(RESUMED) == expected


def test_log_without_driver_output_has_none():
    assert driver_output(["::group::Pre Execute", "Submitted run", "::endgroup::", "Run succeeded"]) == []


class LateLog:
    """REST API of an Airflow that has written the last lines of a log only at the third request."""

    def __init__(self) -> None:
        self.requests = 0

    def log(self, *_: str) -> list[dict[str, Any]]:
        self.requests += 1
        return [{"event": event} for event in (RESUMED if self.requests >= 3 else RESUMED[:8])]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Demo:
    monkeypatch.setattr(demo.time, "sleep", lambda seconds: None)
    bench: Any = SimpleNamespace(airflow=SimpleNamespace(rest=LateLog()))
    progress: Any = None
    return Demo(bench, progress)


def test_demo_waits_for_the_end_of_the_log(late: Demo):
    assert RESULT in late.driver_log()


def test_demo_waits_for_the_log_only_for_a_limited_time(late: Demo, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo, "LOG_TIMEOUT_SECONDS", -1.0)
    assert late.driver_log() == [HEADING, "reading", "Trigger fired event"]


class EventDags:
    """REST API of an Airflow in which an asset event starts a DAG run at the second request."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.requests = 0

    def dag_runs(self, dag_id: str) -> list[dict[str, Any]]:
        self.requests += 1
        return [{"dag_run_id": "asset_triggered__1", "state": self.state}] if self.requests >= 2 else []

    def log(self, *_: str) -> list[dict[str, Any]]:
        return [{"event": "Task started"}, {"event": "monthly (ocid1.run.oc1..a) is SUCCEEDED"}]


def demo_with_event(state: str) -> Demo:
    bench: Any = SimpleNamespace(airflow=SimpleNamespace(rest=EventDags(state)))
    progress: Any = None
    waiting = Demo(bench, progress)
    waiting.run_id = "ocid1.run.oc1..a"
    return waiting


def test_demo_shows_the_dag_run_that_the_asset_event_has_started():
    shown = demo_with_event("success").asset_event()
    assert shown == ("asset_triggered__1", "monthly (ocid1.run.oc1..a) is SUCCEEDED")


def test_demo_fails_if_the_dag_of_the_asset_event_fails():
    with pytest.raises(demo.StackError, match="asset_triggered__1"):
        demo_with_event("failed").asset_event()
