"""Submits: cases (1) to (6)."""

from __future__ import annotations

import pytest

from matrix import log_lines, releases
from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
smoke = pytest.mark.smoke
both_modes = pytest.mark.parametrize("mode", ["deferred", "running"])

SHORT = {"duration": 3}


def retry_tokens(task: TaskUnderTest) -> list[str]:
    return [entry["retry_token"] for entry in task.requests("CreateRun")]


def expect_reattached_retry(task: TaskUnderTest) -> None:
    """Check that the second try waits for the run of the first one, and that all submits had one token."""
    task.wait_for_retry(log_lines.REATTACHED)
    task.end_run(task.run_ids()[0])
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert len(set(retry_tokens(task))) == 1


@smoke
@both_modes
@matrix_case(run_behavior=SHORT)
def test_lost_submit_response_creates_one_run(task: TaskUnderTest) -> None:
    """(1)"""
    task.add_fault("lost_response", operation="CreateRun", count=2)
    task.start()
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert len(retry_tokens(task)) == 3
    assert len(set(retry_tokens(task))) == 1


@both_modes
@matrix_case(retries=1)
def test_retry_reattaches_after_kill_before_run_id_is_recorded(task: TaskUnderTest) -> None:
    """(2), (5): the service has created the run, and ``kill -9`` comes before its late response."""
    task.add_fault("slow", operation="CreateRun", seconds=60, count=1)
    task.start()
    task.wait_for_run()
    task.kill_worker()
    releases.expect_retry_of_killed_worker(task)
    expect_reattached_retry(task)
    repeated = [200] if releases.SUBMITS_ARE_RECORDED else []
    assert [entry["status"] for entry in task.requests("CreateRun")] == [200, *repeated]


@both_modes
@matrix_case(retries=1)
def test_retry_reattaches_when_service_refuses_replayed_token(task: TaskUnderTest) -> None:
    """(5): the same, but the service rejects the second submit with 409."""
    task.add_fault("slow", operation="CreateRun", seconds=60, count=1)
    task.add_fault("replay_conflict", operation="CreateRun")
    task.start()
    task.wait_for_run()
    task.kill_worker()
    releases.expect_retry_of_killed_worker(task)
    expect_reattached_retry(task)
    repeated = [409] if releases.SUBMITS_ARE_RECORDED else []
    assert [entry["status"] for entry in task.requests("CreateRun")] == [200, *repeated]
    assert (log_lines.REPLAY_REFUSED in task.log(2)) == releases.SUBMITS_ARE_RECORDED


@both_modes
@matrix_case(retries=1, operator="KilledAfterRecord")
def test_retry_reattaches_after_kill_once_run_id_is_recorded(task: TaskUnderTest) -> None:
    """(3)"""
    task.start()
    releases.expect_retry_of_killed_worker(task)
    expect_reattached_retry(task)
    task.check_submitted_once()


@matrix_case(retries=1, operator="KilledBeforeDefer", deferrable=True)
def test_retry_reattaches_after_kill_before_deferral(task: TaskUnderTest) -> None:
    """(3)"""
    task.start()
    releases.expect_retry_of_killed_worker(task)
    expect_reattached_retry(task)
    task.check_submitted_once()


@both_modes
@pytest.mark.parametrize("status", [404, 503])
@matrix_case(run_behavior=SHORT)
def test_failed_first_polls_are_retried(task: TaskUnderTest, status: int) -> None:
    """(4)"""
    task.add_fault("status", status=status, operation="GetRun", count=2)
    task.start()
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert [entry["status"] for entry in task.requests("GetRun")][:3] == [status, status, 200]


@both_modes
@matrix_case(run_behavior=SHORT)
def test_submit_is_retried_after_throttling_and_errors(task: TaskUnderTest) -> None:
    """(6)"""
    task.add_fault("status", status=429, operation="CreateRun", count=1, retryAfter=2)
    task.add_fault("status", status=503, operation="CreateRun", count=1)
    task.add_fault("drop", operation="CreateRun", count=1)
    task.start()
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert [entry["status"] for entry in task.requests("CreateRun")] == [429, 503, 0, 200]
    times = [entry["time"] for entry in task.requests("CreateRun")]
    assert times[1] - times[0] >= 2
    assert len(set(retry_tokens(task))) == 1


@both_modes
@matrix_case(run_behavior=SHORT)
def test_submit_waits_for_capacity(task: TaskUnderTest) -> None:
    """(6): after LimitExceeded; a deferrable task waits deferred."""
    task.add_fault("limit_exceeded", limit=0, count=1)
    task.start()
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert [entry["code"] for entry in task.requests("CreateRun")] == ["LimitExceeded", None]
    assert log_lines.CAPACITY_WAIT in task.log()


@both_modes
@matrix_case(run_behavior=SHORT, error_budget=20, retries=1, retry_delay=10)
def test_submit_outage_beyond_error_budget_creates_one_run(task: TaskUnderTest) -> None:
    """(6): the second try finds the run that a submit of the first one created without a response."""
    task.add_fault("lost_response", operation="CreateRun", forSeconds=45)
    task.start()
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert len(set(retry_tokens(task))) == 1


@smoke
@matrix_case(
    deferrable=True,
    dag={"schedule": "@daily", "catchup": False, "end_date": "2026-01-05"},
    run_behavior_by_suffix={f"2026-01-0{day}": [SHORT] for day in (1, 2, 3)},
    display_name="{{ dag.dag_id }} {{ ds }}",
)
def test_backfill_submits_one_run_per_day(task: TaskUnderTest) -> None:
    """(1): each of three days, two of them at the same time."""
    task.backfill("2026-01-01", "2026-01-03")
    task.wait_until(lambda: task.backfills_have_ended(), "the backfill to end")
    days = task.in_all_dag_runs()
    for day in days:
        day.wait_for_end("success", runs=["SUCCEEDED"])
    assert len(days) == 3
    assert len(set(retry_tokens(task))) == len(retry_tokens(task)) == 3
