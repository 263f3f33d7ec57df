"""Automatic retries: cases (7) to (10)."""

from __future__ import annotations

import signal
import time

import pytest

from airflow_provider_dataflow.ownership.record_store import RECORD_KEY
from matrix import log_lines, releases
from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
smoke = pytest.mark.smoke
both_modes = pytest.mark.parametrize("mode", ["deferred", "running"])

DAY_SECONDS = 24 * 3600
FAILED, CANCELED, STOPPED = {"outcome": "FAILED"}, {"outcome": "CANCELED"}, {"outcome": "STOPPED"}
#: Operators whose worker dies by itself. A deferred task has no worker, so it dies just before the deferral.
WORKER_DIES = {"deferred": "KilledBeforeDefer", "running": "KilledWhileWaiting"}


def expect_reattached_retry(task: TaskUnderTest, run_id: str) -> None:
    """Check that the second try waits for the run of the first one, and that no other run is submitted."""
    task.wait_for_retry(log_lines.REATTACHED)
    task.end_run(run_id)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    task.check_submitted_once()


@smoke
@matrix_case(retries=1)
def test_retry_reattaches_to_active_run(task: TaskUnderTest) -> None:
    """(7): ``kill -9`` while the task waits in a worker. For deferrable tasks, see case (3)."""
    task.start()
    run_id = task.wait_until_waiting("running")
    releases.expect_scheduler_to_begin_tries(task)
    task.kill_worker()
    releases.expect_retry_of_killed_worker(task)
    expect_reattached_retry(task, run_id)
    assert task.callbacks()[-1] == "success"


@matrix_case(retries=1)
def test_retry_reattaches_after_sigterm_to_worker(task: TaskUnderTest) -> None:
    """As with an evicted pod: Airflow calls ``on_kill``, although no user has ended the task."""
    task.start()
    run_id = task.wait_until_waiting("running")
    task.kill_worker(signal.SIGTERM)
    expect_reattached_retry(task, run_id)
    assert log_lines.LEFT_FOR_NEXT_TRY.format(run_id=run_id) in task.log(1)


@matrix_case(retries=1)
def test_retry_reattaches_after_machine_is_lost(task: TaskUnderTest) -> None:
    """(7): nothing reports the end of the task; the scheduler notices that its heartbeats stop."""
    task.start()
    run_id = task.wait_until_waiting("running")
    task.kill_worker(machine=True)
    expect_reattached_retry(task, run_id)


@both_modes
@matrix_case(run_behavior={"duration": 1}, retries=1, retry_delay=5, operator=WORKER_DIES)
def test_retry_adopts_run_that_has_succeeded(task: TaskUnderTest) -> None:
    """(8)"""
    task.start()
    releases.expect_retry_of_killed_worker(task)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert task.try_number == 2
    task.check_submitted_once()
    assert log_lines.ADOPTED in task.log()


@smoke
@both_modes
@matrix_case(run_behavior=[FAILED, {}], retries=1)
def test_retry_after_failed_run_submits_another(task: TaskUnderTest) -> None:
    """(9)"""
    task.start()
    task.wait_for_end("success", runs=["FAILED", "SUCCEEDED"])
    first, _ = task.run_ids()
    assert f"RunFailed: Run {first}" in task.log(1)
    assert task.callbacks() == ["retry", "success"]


@smoke
@both_modes
@matrix_case(run_behavior=FAILED)
def test_failed_run_fails_task(task: TaskUnderTest) -> None:
    """(30)"""
    task.start()
    task.wait_for_end("failed", runs=["FAILED"])
    assert f"RunFailed: Run {task.run_ids()[0]}" in task.log()
    assert task.callbacks() == ["failure"]
    assert not task.requests("DeleteRun")


@both_modes
@matrix_case(run_behavior=[FAILED, CANCELED, STOPPED, {}], retries=3)
def test_retry_replaces_unsuccessful_run(task: TaskUnderTest) -> None:
    """(9), (30): each try fails with the error of its run's state, and the next one submits a new run."""
    task.start()
    task.wait_for_end("success", runs=["FAILED", "CANCELED", "STOPPED", "SUCCEEDED"])
    assert task.try_number == 4
    for try_number, error in enumerate(("RunFailed", "RunCanceled", "RunStopped"), start=1):
        assert f"{error}: Run {task.run_ids()[try_number - 1]}" in task.log(try_number)
    assert len({entry["retry_token"] for entry in task.requests("CreateRun")}) == 4
    assert task.callbacks() == ["retry", "retry", "retry", "success"]
    assert task.callback_exceptions() == ["RunFailed", "RunCanceled", "RunStopped"]


@pytest.mark.parametrize("outcome", ["FAILED", "CANCELED", "STOPPED"])
@matrix_case(run_behavior={}, retries=1, retry_delay=5, operator="KilledAfterRecord", deferrable=True)
def test_retry_replaces_run_that_ended_between_tries(task: TaskUnderTest, outcome: str) -> None:
    """(9)"""
    rule = {"displayName": task.dag_id, "attempts": [{"outcome": outcome}, {"outcome": "SUCCEEDED"}]}
    task.harness.call_local("POST", "rules", rule)
    task.start()
    releases.expect_retry_of_killed_worker(task)
    task.wait_for_end("success", runs=[outcome, "SUCCEEDED"])
    assert log_lines.REPLACED.format(state=outcome) in task.log(2)


@both_modes
@matrix_case(retries=1, retry_delay=15)
def test_retry_finds_run_by_tags_when_token_has_expired(task: TaskUnderTest) -> None:
    """(10): killed before the run id was recorded, and retried more than 24 hours later."""
    task.add_fault("slow", operation="CreateRun", seconds=60, count=1)
    task.start()
    run_id = task.wait_for_run()
    task.kill_worker()
    releases.expect_retry_of_killed_worker(task)
    task.wait_for_state("up_for_retry")
    if releases.SUBMITS_ARE_RECORDED:
        record = task.read_state_store(RECORD_KEY)
        assert "run_id" not in record
        task.write_state_store(RECORD_KEY, record | {"time": time.time() - DAY_SECONDS - 60})
    # A submit with the expired token would create a second run.
    expect_reattached_retry(task, run_id)
