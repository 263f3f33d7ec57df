"""Timeouts: cases (22) to (24). That they survive a triggerer's restart is in test_triggerer.py."""

from __future__ import annotations

import pytest

from matrix.stage import Task

case = pytest.mark.case
anywhere = pytest.mark.parametrize("where", ["deferred", "running"])


@anywhere
@pytest.mark.parametrize("arguments", [{"execution_timeout": 40}, {"completion_timeout": 40}], ids=str)
@case()
def test_a_timeout(task: Task, where: str, arguments: dict[str, int]) -> None:
    """(22): deferred, too, where Airflow itself does not look at execution_timeout."""
    task.start()
    task.waits(where)
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    by_airflow = where == "running" and "execution_timeout" in arguments
    assert ("AirflowTaskTimeout" if by_airflow else "RunTimedOut") in task.log()
    assert task.runs()[0]["maxDurationInMinutes"] == 6


@case(course=[{"outcome": "IN_PROGRESS"}, {"duration": 1}], deferrable=True, execution_timeout=20, retries=1)
def test_a_timeout_and_a_retry(task: Task) -> None:
    """(22): the second run is submitted when the first one is ending."""
    task.start()
    task.ends("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    first, second = task.runs()
    assert first["states"][-1]["time"] <= second["states"][0]["time"]


@case(operator="WithoutAnswer", deferrable=True)
def test_the_trigger_does_not_answer(task: Task) -> None:
    """(23): Airflow's own timeout of the deferral."""
    task.start()
    task.waits("deferred")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunTimedOut" in task.log()
    assert "the trigger has not answered in time" in task.log()


@case(operator="WithCrashes", deferrable=True, retries=1)
def test_the_trigger_crashes(task: Task) -> None:
    """(23): another one takes its place; that is no new try, and no new run."""
    task.start()
    run_id = task.wait_for_run("IN_PROGRESS")
    task.until(lambda: "another one waits for run" in task.log(), "the trigger to be replaced")
    task.wait("deferred")
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert task.try_number == 1
    assert len(task.requests("CreateRun")) == 1


@case(operator="WithNothingButCrashes", deferrable=True)
def test_all_triggers_crash(task: Task) -> None:
    """(23)"""
    task.start()
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunLost" in task.log()
    assert "The trigger has failed 4 times" in task.log()


@anywhere
@case(max_duration_in_minutes=1)
def test_the_service_ends_a_run_that_takes_too_long(task: Task, where: str) -> None:
    """(24): also when no Airflow is left to do it."""
    task.start()
    task.ends("failed", runs=["CANCELED"])
    assert not task.requests("DeleteRun")
    assert "RunCanceled" in task.log()
