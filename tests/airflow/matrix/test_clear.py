"""A clear: cases (11) to (13), and (15). A clear while the triggerer is down is in test_triggerer.py."""

from __future__ import annotations

import pytest

from dev.airflow_rest import FINISHED_RUN
from matrix.stage import Task

case = pytest.mark.case
anywhere = pytest.mark.parametrize("where", ["deferred", "running"])
with_and_without_retries = pytest.mark.parametrize("arguments", [{"retries": 0}, {"retries": 2}], ids=str)


@anywhere
@pytest.mark.parametrize("what", ["task", "dag_run"])
@case(course={"duration": 1})
def test_what_succeeded_is_cleared(task: Task, what: str) -> None:
    """(11): a new run, although the old one has succeeded."""
    task.start()
    task.ends("success", runs=["SUCCEEDED"])
    if what == "task":
        task.clear()
    else:
        task.clear_dag_run()
    task.until(lambda: task.try_number == 2, "the second try")
    task.ends("success", runs=["SUCCEEDED", "SUCCEEDED"])
    assert len({entry["retry_token"] for entry in task.requests("CreateRun")}) == 2


@with_and_without_retries
@case()
def test_cleared_while_running(task: Task) -> None:
    """(12): on_kill in the worker cancels the old run; the new try only looks after it."""
    task.start()
    task.waits("running")
    task.clear()
    second = task.waits("running", number=2)
    task.until(lambda: task.cancels(), "the first run to be cancelled")
    task.end_run(second)
    task.ends("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    assert task.try_number == 2


@with_and_without_retries
@case(deferrable=True)
def test_cleared_while_deferred(task: Task) -> None:
    """(13): the new try comes first, and cancels the old run itself, or the old trigger does."""
    task.start()
    first = task.waits("deferred")
    task.clear()
    second = task.waits("deferred", number=2)
    task.until(lambda: task.cancels(), "the first run to be cancelled")
    task.end_run(second)
    task.until(lambda: task.dag_run_state in FINISHED_RUN, "the DAG run to end")
    assert task.state == "success", task.describe()
    assert [run["lifecycleState"] for run in task.runs()] == ["CANCELED", "SUCCEEDED"]
    # Which of the two is first is Airflow's affair; that nobody cancels the second run is ours.
    assert [run_id for run_id, _ in task.cancels()] == [first]
    assert second not in {entry["resource_id"] for entry in task.requests("DeleteRun")}


@pytest.mark.parametrize("behavior", ["completed", "failed"])
@case(
    deferrable=True,
    dag={"schedule": "@daily", "catchup": False, "end_date": "2026-01-05"},
    courses={
        "2026-01-01": [{"duration": 1}],
        "2026-01-02": [{"duration": 1, "outcome": "FAILED"}, {"duration": 1}],
    },
    display_name="{{ dag.dag_id }} {{ ds }}",
)
def test_a_backfill_is_run_again(task: Task, behavior: str) -> None:
    """(15): ``completed`` submits every day again, ``failed`` only the day that failed."""
    days = "2026-01-01", "2026-01-02"

    def backfill(behavior: str) -> list[Task]:
        task.backfill(*days, reprocess_behavior=behavior)
        return task.dag_runs()

    good, bad = backfill("none")
    good.ends("success", runs=["SUCCEEDED"])
    bad.ends("failed", runs=["FAILED"])
    task.until(lambda: task.backfills_are_over(), "the backfill to be over")
    backfill(behavior)
    task.until(lambda: bad.try_number == 2, "the second try of the day that failed")
    bad.ends("success", runs=["FAILED", "SUCCEEDED"])
    if behavior == "completed":
        task.until(lambda: good.try_number == 2, "the second try of the day that succeeded")
        good.ends("success", runs=["SUCCEEDED", "SUCCEEDED"])
    else:
        good.ends("success", runs=["SUCCEEDED"])
    assert len({entry["retry_token"] for entry in task.requests("CreateRun")}) == len(
        good.runs() + bad.runs()
    )


@case(mapped=3, deferrable=True)
def test_one_of_several_mapped_tasks_is_cleared(task: Task) -> None:
    """Each index has a run of its own; the other indexes' runs go on."""
    task.trigger()
    first, second, third = (task.of(map_index=index) for index in range(3))
    runs = [one.waits("deferred") for one in (first, second, third)]
    assert len(set(runs)) == 3
    second.clear()
    again = second.waits("deferred", number=2)
    task.until(lambda: second.cancels(), "the old run to be cancelled")
    for run_id in (runs[0], again, runs[2]):
        task.end_run(run_id)
    first.ends("success", runs=["SUCCEEDED"])
    third.ends("success", runs=["SUCCEEDED"])
    assert [run["lifecycleState"] for run in second.runs()] == ["CANCELED", "SUCCEEDED"]
    assert second.state == "success"


@anywhere
@case(dag={"max_active_runs": 2})
def test_two_dag_runs_at_the_same_time(task: Task, where: str) -> None:
    """The same task of two DAG runs has two runs, and the kill of one is no kill of the other."""
    one, other = task.of(dag_run="one"), task.of(dag_run="other")
    one.start()
    other.start()
    one.waits(where)
    kept = other.waits(where)
    one.mark("failed")
    one.ends(
        "failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer" if where == "deferred" else "worker")]
    )
    task.end_run(kept)
    other.ends("success", runs=["SUCCEEDED"])
