"""Kills of tasks: cases (16) to (18), (21), and a cancelled backfill."""

from __future__ import annotations

import pytest

from matrix import log_lines
from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
smoke = pytest.mark.smoke
both_modes = pytest.mark.parametrize("mode", ["deferred", "running"])

#: The component that cancels the run of a killed task, by the state in which the task waits.
CANCELLER = {"deferred": "triggerer", "running": "worker"}


@both_modes
@pytest.mark.parametrize("state", [pytest.param("failed", marks=smoke), "success", "skipped"])
@matrix_case(retries=2)
def test_marking_task_cancels_run(task: TaskUnderTest, mode: str, state: str) -> None:
    """(16): the task keeps the marked state, and no success callback runs for a failed one."""
    task.start()
    task.wait_until_waiting(mode)
    task.mark(state)
    task.wait_for_end(state, runs=["CANCELED"], cancelled_by=[(1, CANCELLER[mode])])
    assert task.try_number == 1
    if state == "failed":
        assert "success" not in task.callbacks()
    if mode == "running":
        assert log_lines.KILLED_IN_WORKER in task.log()


@both_modes
@matrix_case()
def test_marking_dag_run_failed_cancels_run(task: TaskUnderTest, mode: str) -> None:
    """(17)"""
    task.start()
    task.wait_until_waiting(mode)
    task.mark_dag_run("failed")
    task.wait_until(lambda: task.cancels(), "its run to be cancelled")
    assert task.dag_run_state == "failed"
    task.wait_for_end(
        "skipped" if task.state == "skipped" else "failed",
        runs=["CANCELED"],
        cancelled_by=[(1, CANCELLER[mode])],
    )


@both_modes
@matrix_case(dag={"dagrun_timeout": 90})
def test_dagrun_timeout_cancels_run(task: TaskUnderTest, mode: str) -> None:
    """(17)"""
    task.start()
    task.wait_until_waiting(mode)
    task.wait_for_end("skipped", runs=["CANCELED"], cancelled_by=[(1, CANCELLER[mode])])
    assert task.dag_run_state == "failed"
    assert "success" not in task.callbacks()


@both_modes
@pytest.mark.parametrize("seconds", [5, 20])
@matrix_case()
def test_kill_cancels_run_although_response_is_late(task: TaskUnderTest, mode: str, seconds: int) -> None:
    """(18): Airflow leaves a trigger one second for its cancel, and a worker five."""
    task.start()
    task.wait_until_waiting(mode)
    task.add_fault("slow", operation="DeleteRun", seconds=seconds)
    task.mark("failed")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, CANCELLER[mode])])


@pytest.mark.parametrize("seconds", [5, 20])
@matrix_case(deferrable=True)
def test_kill_cancels_run_although_service_acts_late(task: TaskUnderTest, seconds: int) -> None:
    """(18): the service executes the cancel late, and only if the client is still connected."""
    task.start()
    task.wait_until_waiting("deferred")
    task.add_fault("late", operation="DeleteRun", seconds=seconds)
    task.mark("failed")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])


@matrix_case(completion_timeout=3600)
def test_next_try_cancels_run_that_a_killed_worker_could_not(task: TaskUnderTest) -> None:
    """(18): Airflow ends the worker before the service acts; until then the maximum duration bounds it."""
    task.start()
    task.wait_until_waiting("running")
    task.add_fault("late", operation="DeleteRun", seconds=20)
    task.mark("failed")
    task.wait_until(lambda: task.state == "failed" and task.requests("DeleteRun"), "the cancel to be sent")
    task.wait_for_unwanted_effects()
    task.remove_faults()
    assert [run["lifecycleState"] for run in task.runs()] == ["IN_PROGRESS"]
    assert task.runs()[0]["maxDurationInMinutes"] == 65
    task.clear()
    second = task.wait_for_run("IN_PROGRESS", number=2)
    task.end_run(second)
    task.wait_for_end("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])


@both_modes
@matrix_case()
def test_cancel_is_retried_after_two_failures(task: TaskUnderTest, mode: str) -> None:
    """(18)"""
    task.start()
    task.wait_until_waiting(mode)
    task.add_fault("status", status=503, operation="DeleteRun", count=1)
    task.add_fault("drop", operation="DeleteRun", count=1)
    task.mark("failed")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, CANCELLER[mode])])
    assert [entry["status"] for entry in task.requests("DeleteRun")][:3] == [503, 0, 204]


@matrix_case(operator="SlowToDefer", deferrable=True)
def test_kill_between_submit_and_deferral_cancels_run(task: TaskUnderTest) -> None:
    """(21)"""
    task.start()
    task.wait_for_run("IN_PROGRESS")
    task.wait_until(lambda: log_lines.RUN_PUBLISHED in task.log(), "the run id to be in XCom")
    task.mark("failed")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])


@both_modes
@matrix_case()
def test_kill_during_submit_leaves_no_active_run(task: TaskUnderTest, mode: str) -> None:
    """(21): the service has created the run, but its response has not arrived yet."""
    task.add_fault("slow", operation="CreateRun", seconds=12, count=1)
    task.start()
    task.wait_for_run()
    task.mark("failed")
    task.wait_until(lambda: task.state == "failed", "the task to be failed")
    task.wait_for_unwanted_effects()
    # The signal interrupts no request, and Airflow kills the worker after five seconds, maybe without an id.
    if [run["lifecycleState"] for run in task.runs()] != ["CANCELED"]:
        task.clear()
        second = task.wait_for_run("IN_PROGRESS", number=2)
        task.wait_until(lambda: task.cancels(), "the next try to cancel the first run")
        task.end_run(second)
        task.wait_for_end("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])


@matrix_case(operator="SlowToResume", deferrable=True, completion_timeout=15)
def test_kill_after_resume_cancels_run(task: TaskUnderTest) -> None:
    """(21): the new operator instance, in a new process, knows which run to cancel."""
    task.start()
    task.wait_until_waiting("deferred")
    task.wait_for_state("running")
    task.wait_until(
        lambda: "Delaying the handling of the trigger's event" in task.log(), "the task to resume"
    )
    task.mark("failed")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "success" not in task.callbacks()


@smoke
@matrix_case(mapped=2, deferrable=True)
def test_kill_of_one_mapped_task_leaves_other_run_active(task: TaskUnderTest) -> None:
    """(16)"""
    task.trigger()
    first, second = (task.variant(map_index=index) for index in range(2))
    first_run = first.wait_until_waiting("deferred")
    second.wait_until_waiting("deferred")
    second.mark("failed")
    task.wait_until(lambda: second.cancels(), "its run to be cancelled")
    task.end_run(first_run)
    first.wait_for_end("success", runs=["SUCCEEDED"])
    second.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])


@matrix_case(mapped=20, deferrable=True)
def test_simultaneous_kills_cancel_all_runs_within_30_seconds(task: TaskUnderTest) -> None:
    """(17): no cancel waits for another one, and none occupies a thread that Airflow needs."""
    task.trigger()
    tasks = [task.variant(map_index=index) for index in range(20)]
    for each in tasks:
        each.wait_until_waiting("deferred")
    task.add_fault("slow", operation="DeleteRun", seconds=4)
    task.mark_dag_run("failed")
    for each in tasks:
        each.wait_until(lambda each=each: each.cancels(), "its run to be cancelled")
    task.wait_until(lambda: len(first_cancels(task)) >= 20, "the answers to all cancels")
    sent_at = first_cancels(task).values()
    assert len(sent_at) == 20
    assert max(sent_at) - min(sent_at) < 30


def first_cancels(task: TaskUnderTest) -> dict[str, float]:
    """Return when the first cancel of each run was sent. In a busy triggerer, the sweep may send a second."""
    sent_at: dict[str, float] = {}
    for entry in task.requests("DeleteRun"):
        sent_at.setdefault(entry["resource_id"], entry["time"])
    return sent_at


@both_modes
@matrix_case(cancel_on_kill=False)
def test_cancel_on_kill_false_leaves_run_active(task: TaskUnderTest, mode: str) -> None:
    task.start()
    run_id = task.wait_until_waiting(mode)
    task.mark("failed")
    task.wait_until(lambda: task.state == "failed", "the task to be failed")
    task.wait_for_unwanted_effects()
    task.end_run(run_id)
    task.wait_for_end("failed", runs=["SUCCEEDED"])
    assert not task.requests("DeleteRun")


@matrix_case(
    deferrable=True,
    dag={"schedule": "@daily", "catchup": False, "end_date": "2026-01-05"},
    run_behavior_by_suffix={f"2026-01-0{day}": [{"outcome": "IN_PROGRESS"}] for day in (1, 2, 3)},
    display_name="{{ dag.dag_id }} {{ ds }}",
)
def test_cancelled_backfill_leaves_started_run_active(task: TaskUnderTest) -> None:
    """Airflow fails the days that have not started and lets the others finish, and so do their runs."""
    backfill_id = task.backfill("2026-01-01", "2026-01-03", max_active_runs=1)
    started, *others = task.in_all_dag_runs()
    run_id = started.wait_until_waiting("deferred")
    task.harness.call_api(lambda rest: rest.cancel_backfill(backfill_id))
    for other in others:
        task.wait_until(lambda other=other: other.dag_run_state == "failed", "the days not started to fail")
    started.wait_for_unwanted_effects()
    task.end_run(run_id)
    started.wait_for_end("success", runs=["SUCCEEDED"])
    assert [other.run_ids() for other in others] == [[], []]
