"""Timeouts: cases (22) to (24). That they survive a triggerer's restart is in test_triggerer.py."""

from __future__ import annotations

import pytest

from matrix import log_lines, releases
from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
both_modes = pytest.mark.parametrize("mode", ["deferred", "running"])


@both_modes
@pytest.mark.parametrize("arguments", [{"execution_timeout": 40}, {"completion_timeout": 40}], ids=str)
@matrix_case()
def test_timeout_cancels_run(task: TaskUnderTest, mode: str, arguments: dict[str, int]) -> None:
    """(22): also while deferred, where Airflow itself does not enforce ``execution_timeout``."""
    task.start()
    task.wait_until_waiting(mode)
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    by_airflow = mode == "running" and "execution_timeout" in arguments
    assert ("AirflowTaskTimeout" if by_airflow else "RunTimedOut") in task.log()
    assert task.runs()[0]["maxDurationInMinutes"] == 6


@matrix_case(
    run_behavior=[{"outcome": "IN_PROGRESS"}, {"duration": 1}],
    deferrable=True,
    execution_timeout=20,
    retries=1,
)
def test_retry_after_timeout_submits_once_old_run_has_ended(task: TaskUnderTest) -> None:
    """(22)"""
    task.start()
    task.wait_for_end("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    first, second = task.runs()
    assert first["states"][-1]["time"] <= second["states"][0]["time"]


@matrix_case(operator="SilentTriggerOperator", deferrable=True)
def test_deferral_timeout_cancels_run(task: TaskUnderTest) -> None:
    """(23): Airflow's own timeout of the deferral."""
    task.start()
    task.wait_until_waiting("deferred")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunTimedOut" in task.log()
    assert log_lines.DEFERRAL_TIMED_OUT in task.log()


@matrix_case(operator="FirstTriggerCrashes", deferrable=True, retries=1)
def test_crashed_trigger_is_replaced(task: TaskUnderTest) -> None:
    """(23): without a new try or a new run."""
    task.start()
    run_id = task.wait_for_run("IN_PROGRESS")
    task.wait_until(lambda: log_lines.TRIGGER_REPLACED in task.log(), "the trigger to be replaced")
    task.wait_for_state("deferred")
    task.end_run(run_id)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert task.try_number == 1
    assert len(task.requests("CreateRun")) == 1


@matrix_case(operator="AllTriggersCrash", deferrable=True)
def test_repeated_trigger_crashes_fail_task_and_cancel_run(task: TaskUnderTest) -> None:
    """(23)"""
    task.start()
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunLost" in task.log()
    assert log_lines.TRIGGER_FAILED_TOO_OFTEN in task.log()


@both_modes
@matrix_case(max_duration_in_minutes=1)
def test_service_ends_run_after_max_duration(task: TaskUnderTest, mode: str) -> None:
    """(24): this also works when no Airflow is left to cancel the run."""
    task.start()
    task.wait_for_end("failed", runs=["CANCELED"])
    assert not task.requests("DeleteRun")
    assert "RunCanceled" in task.log()


@both_modes
@matrix_case(dag={"schedule": None, "deadline": 3})
def test_missed_deadline_calls_back_and_run_continues(task: TaskUnderTest, mode: str) -> None:
    """A deadline of Airflow's ends nothing: neither the task nor its run."""
    task.start()
    run_id = task.wait_until_waiting(mode)
    if releases.HAS_DEADLINES:
        task.wait_until(lambda: task.callbacks() == ["deadline"], "the callback of the deadline")
    assert [run["lifecycleState"] for run in task.runs()] == ["IN_PROGRESS"]
    task.end_run(run_id)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert task.callbacks() == [*(["deadline"] if releases.HAS_DEADLINES else []), "success"]
