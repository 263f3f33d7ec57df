"""Failures of the service: cases (27) to (30), and (26b)."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.polling import DEFAULT_NO_EVENT_BEFORE
from matrix import log_lines
from matrix.matrix_harness import EXTRA_OUTAGE_SECONDS
from matrix.task_under_test import TaskUnderTest

OUTAGE_SECONDS = 60 + EXTRA_OUTAGE_SECONDS

matrix_case = pytest.mark.matrix_case
both_modes = pytest.mark.parametrize("mode", ["deferred", "running"])


@both_modes
@matrix_case(poll_interval=1)
def test_outage_within_error_budget_fails_no_task(task: TaskUnderTest, mode: str) -> None:
    """(27): a minute long; deferred, with as many failed polls as 20 minutes have at the default interval.

    The budget is half an hour by default; tests/unit/test_polling.py tests that it is measured in time.
    """
    task.start()
    run_id = task.wait_until_waiting(mode)
    task.add_fault("drop")
    min_failed_polls = {"deferred": 40, "running": 10}[mode]

    def lasted_long_enough() -> bool:
        times = [entry["time"] for entry in task.requests("GetRun") if entry["status"] == 0]
        return len(times) >= min_failed_polls and times[-1] - times[0] >= OUTAGE_SECONDS

    what = f"polls to fail for {OUTAGE_SECONDS:.0f} seconds"
    task.wait_until(lasted_long_enough, what, min_seconds=OUTAGE_SECONDS)
    task.remove_faults()
    task.wait_for_next_poll()
    task.end_run(run_id)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert task.try_number == 1
    # While tasks are deferred, the triggerer's own log has one line for all tasks of a connection.
    triggerer_log = task.harness.bench.airflow.log_file("triggerer").read_text()
    log = {"running": task.log(), "deferred": triggerer_log}[mode]
    assert [line for line in log.splitlines() if any(text in line for text in log_lines.OUTAGE)]


@both_modes
@matrix_case(error_budget=10)
def test_outage_beyond_error_budget_fails_task_and_cancels_run(task: TaskUnderTest, mode: str) -> None:
    """(27)"""
    task.start()
    task.wait_until_waiting(mode)
    task.add_fault("status", status=503, operation="GetRun")
    task.wait_until(lambda: task.cancels(), "its run to be cancelled")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunLost" in task.log()


@both_modes
@matrix_case(error_budget=10, cancel_timeout=2, retries=1)
def test_retry_reattaches_when_outage_prevented_cancel(task: TaskUnderTest, mode: str) -> None:
    """(27): the error of the first try says that the run may still be running."""
    task.start()
    run_id = task.wait_until_waiting(mode)
    task.add_fault("drop")
    task.wait_until(lambda: task.state == "up_for_retry" or task.try_number == 2, "the first try to fail")
    task.remove_faults()
    task.wait_for_retry(log_lines.REATTACHED)
    task.end_run(run_id)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert "RunLost" in task.log(1)
    assert log_lines.NOT_CANCELLED in task.log(1)


@both_modes
@matrix_case()
def test_stray_errors_are_retried(task: TaskUnderTest, mode: str) -> None:
    """(28)"""
    task.start()
    run_id = task.wait_until_waiting(mode)
    for status in (401, 403, 404):
        task.add_fault("status", status=status, operation="GetRun", count=2)
    for kind in ("drop", "truncated_body"):
        task.add_fault(kind, operation="GetRun", count=2)

    def all_have_occurred() -> bool:
        kinds = [(entry["notes"].get("fault") or {}).get("kind") for entry in task.requests("GetRun")]
        return len([kind for kind in kinds if kind]) == 10 and kinds[-1] is None

    task.wait_until(all_have_occurred, "all of the errors to occur")
    task.end_run(run_id)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert task.try_number == 1


@both_modes
@matrix_case(error_budget=10)
def test_missing_run_fails_task_as_lost(task: TaskUnderTest, mode: str) -> None:
    """(29): the run was deleted, or moved to a compartment that this user cannot read."""
    task.start()
    run_id = task.wait_until_waiting(mode)
    task.add_fault("vanish", resourceId=run_id)
    task.wait_until(lambda: task.state == "failed", "the task to fail")
    log = task.log()
    assert "RunLost" in log
    assert "NotAuthorizedOrNotFound" in log
    assert log_lines.NOT_CANCELLED in log
    task.remove_faults()
    task.end_run(run_id)
    task.wait_for_end("failed", runs=["SUCCEEDED"])


@both_modes
@matrix_case(run_behavior={"outcome": "IN_PROGRESS", "state": "HIBERNATING"})
def test_unknown_state_is_waited_out(task: TaskUnderTest, mode: str) -> None:
    """(30): the known states are in test_retry.py."""
    task.start()
    run_id = task.wait_for_run("HIBERNATING")
    task.wait_for_state(mode)
    task.wait_until(lambda: len(task.requests("GetRun")) >= 5, "its run to be polled several times")
    assert task.state == mode
    task.end_run(run_id)
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert "HIBERNATING" in task.log()


@matrix_case(run_behavior={"duration": 1}, mapped=4, deferrable=True, retries=1)
def test_trigger_sends_no_event_in_first_seconds(task: TaskUnderTest) -> None:
    """(26b): Airflow can fail a task whose trigger fires before its worker has reported the deferral.

    The quiet time makes this unlikely. How long a scheduler needs has no upper bound; a retry adopts the run.
    """
    task.trigger()
    for index in range(4):
        each = task.variant(map_index=index)
        each.wait_for_end("success", runs=["SUCCEEDED"])
        (run_id,) = each.run_ids()
        polls = [entry["time"] for entry in task.requests("GetRun") if entry["resource_id"] == run_id]
        submit = next(entry["time"] for entry in task.requests("CreateRun") if entry["resource_id"] == run_id)
        assert polls[0] - submit >= DEFAULT_NO_EVENT_BEFORE
