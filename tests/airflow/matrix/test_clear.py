"""Clears: cases (11) to (13), and (15). A clear while the triggerer is down is in test_triggerer.py."""

from __future__ import annotations

import pytest

from dev.airflow_rest import FINISHED_RUN
from matrix import releases
from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
smoke = pytest.mark.smoke
both_modes = pytest.mark.parametrize("mode", ["deferred", "running"])
with_and_without_retries = pytest.mark.parametrize(
    "arguments", [pytest.param({"retries": 0}, marks=smoke), {"retries": 2}], ids=str
)


@both_modes
@pytest.mark.parametrize("cleared", [pytest.param("task", marks=smoke), "dag_run"])
@matrix_case(run_behavior={"duration": 1})
def test_clear_after_success_submits_new_run(task: TaskUnderTest, cleared: str) -> None:
    """(11)"""
    task.start()
    task.wait_for_end("success", runs=["SUCCEEDED"])
    if cleared == "task":
        task.clear()
    else:
        task.clear_dag_run()
    task.wait_until(lambda: task.try_number == 2, "the second try")
    task.wait_for_end("success", runs=["SUCCEEDED", "SUCCEEDED"])
    assert len({entry["retry_token"] for entry in task.requests("CreateRun")}) == 2


@with_and_without_retries
@matrix_case()
def test_clear_in_worker_cancels_run_and_submits_new_one(task: TaskUnderTest) -> None:
    """(12): ``on_kill`` in the old worker cancels the old run; the new try only checks it."""
    task.start()
    task.wait_until_waiting("running")
    releases.expect_scheduler_to_begin_tries(task)
    task.clear()
    releases.expect_restart_of_cleared_worker(task)
    second = task.wait_until_waiting("running", number=2)
    task.wait_until(lambda: task.cancels(), "the first run to be cancelled")
    task.end_run(second)
    task.wait_for_end("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    assert task.try_number == 2


@with_and_without_retries
@matrix_case(deferrable=True)
def test_clear_while_deferred_cancels_only_old_run(task: TaskUnderTest) -> None:
    """(13): the old run is cancelled by the new try, which starts first, or by the old trigger."""
    task.start()
    first = task.wait_until_waiting("deferred")
    task.clear()
    second = task.wait_until_waiting("deferred", number=2)
    task.wait_until(lambda: task.cancels(), "the first run to be cancelled")
    task.end_run(second)
    task.wait_until(lambda: task.dag_run_state in FINISHED_RUN, "the DAG run to end")
    assert task.state == "success", task.describe()
    assert [run["lifecycleState"] for run in task.runs()] == ["CANCELED", "SUCCEEDED"]
    # Which of the two cancels first depends on Airflow's timing; neither may cancel the second run.
    assert [run_id for run_id, _ in task.cancels()] == [first]
    assert second not in {entry["resource_id"] for entry in task.requests("DeleteRun")}


@pytest.mark.parametrize("behavior", ["completed", "failed"])
@matrix_case(
    deferrable=True,
    dag={"schedule": "@daily", "catchup": False, "end_date": "2026-01-05"},
    run_behavior_by_suffix={
        "2026-01-01": [{"duration": 1}],
        "2026-01-02": [{"duration": 1, "outcome": "FAILED"}, {"duration": 1}],
    },
    display_name="{{ dag.dag_id }} {{ ds }}",
)
def test_reprocessed_backfill_submits_new_runs(task: TaskUnderTest, behavior: str) -> None:
    """(15): ``completed`` submits a new run for each day, ``failed`` only for the day that failed."""
    days = "2026-01-01", "2026-01-02"

    def backfill(behavior: str) -> list[TaskUnderTest]:
        task.backfill(*days, reprocess_behavior=behavior)
        return task.in_all_dag_runs()

    good, bad = backfill("none")
    good.wait_for_end("success", runs=["SUCCEEDED"])
    bad.wait_for_end("failed", runs=["FAILED"])
    task.wait_until(lambda: task.backfills_have_ended(), "the backfill to end")
    backfill(behavior)
    task.wait_until(lambda: bad.try_number == 2, "the second try of the day that failed")
    bad.wait_for_end("success", runs=["FAILED", "SUCCEEDED"])
    if behavior == "completed":
        task.wait_until(lambda: good.try_number == 2, "the second try of the day that succeeded")
        good.wait_for_end("success", runs=["SUCCEEDED", "SUCCEEDED"])
    else:
        good.wait_for_end("success", runs=["SUCCEEDED"])
    assert len({entry["retry_token"] for entry in task.requests("CreateRun")}) == len(
        good.runs() + bad.runs()
    )


@matrix_case(mapped=3, deferrable=True)
def test_clear_of_one_mapped_task_leaves_other_runs_active(task: TaskUnderTest) -> None:
    task.trigger()
    first, second, third = (task.variant(map_index=index) for index in range(3))
    runs = [each.wait_until_waiting("deferred") for each in (first, second, third)]
    assert len(set(runs)) == 3
    second.clear()
    new_run = second.wait_until_waiting("deferred", number=2)
    task.wait_until(lambda: second.cancels(), "the old run to be cancelled")
    for run_id in (runs[0], new_run, runs[2]):
        task.end_run(run_id)
    first.wait_for_end("success", runs=["SUCCEEDED"])
    third.wait_for_end("success", runs=["SUCCEEDED"])
    assert [run["lifecycleState"] for run in second.runs()] == ["CANCELED", "SUCCEEDED"]
    assert second.state == "success"


@both_modes
@matrix_case(dag={"max_active_runs": 2})
def test_kill_in_one_dag_run_leaves_run_of_another_active(task: TaskUnderTest, mode: str) -> None:
    killed, other = task.variant(dag_run="killed"), task.variant(dag_run="other")
    killed.start()
    other.start()
    killed.wait_until_waiting(mode)
    other_run = other.wait_until_waiting(mode)
    killed.mark("failed")
    canceller = "triggerer" if mode == "deferred" else "worker"
    killed.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, canceller)])
    task.end_run(other_run)
    other.wait_for_end("success", runs=["SUCCEEDED"])
