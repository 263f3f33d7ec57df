"""The start of Airflow: how long it may take, and what is said meanwhile. No process is started."""

from __future__ import annotations

import itertools

import pytest

from dev import airflow_stack
from dev.airflow_stack import DEFAULT_START_TIMEOUT_SECONDS, START_TIMEOUT, AirflowStack, start_timeout
from dev.processes import StackError


@pytest.fixture
def stack(tmp_path, mocker) -> AirflowStack:
    """An Airflow whose components run; each look at the clock takes ten seconds."""
    stack = AirflowStack(tmp_path, tmp_path)
    stack.processes = {"triggerer": mocker.Mock(**{"poll.return_value": None})}
    stack.log_file("triggerer").parent.mkdir(parents=True, exist_ok=True)
    stack.log_file("triggerer").write_text("importing")
    mocker.patch.object(airflow_stack, "time").monotonic.side_effect = itertools.count(0.0, 10.0)
    return stack


def test_slow_start_is_waited_for_and_reported(stack, mocker):
    mocker.patch.object(stack.rest, "unhealthy", side_effect=[*[["triggerer"]] * 12, []])
    reports: list[str] = []
    stack.wait_healthy(reports.append)
    assert set(reports) == {"Waiting for triggerer"}
    assert 2 <= len(reports) <= 6


def test_end_of_the_time_names_component_log_and_remedy(stack, mocker, monkeypatch):
    monkeypatch.setenv(START_TIMEOUT, "60")
    mocker.patch.object(stack.rest, "unhealthy", return_value=["triggerer"])
    with pytest.raises(StackError) as raised:
        stack.wait_healthy()
    *_, last = str(raised.value).splitlines()
    assert "importing" in str(raised.value)
    assert "Not healthy after 60 s" in last
    assert "triggerer" in last
    assert START_TIMEOUT in last


def test_component_that_has_ended_is_not_waited_for(stack, mocker):
    mocker.patch.object(stack.rest, "unhealthy", return_value=["triggerer"])
    stack.processes["triggerer"].poll.return_value = stack.processes["triggerer"].returncode = 3
    with pytest.raises(StackError, match="triggerer ended with code 3"):
        stack.wait_healthy()


@pytest.mark.parametrize(
    ("value", "seconds"), [("", DEFAULT_START_TIMEOUT_SECONDS), (" 90 ", 90), ("1.5", 1.5)]
)
def test_start_timeout_is_read_from_the_environment(monkeypatch, value, seconds):
    monkeypatch.setenv(START_TIMEOUT, value)
    assert start_timeout() == seconds


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_invalid_start_timeout_is_refused(monkeypatch, value):
    monkeypatch.setenv(START_TIMEOUT, value)
    with pytest.raises(StackError, match=START_TIMEOUT):
        start_timeout()
