"""Kills: cases (16) to (18), (21), and a cancelled backfill. For the triggerer, see test_triggerer.py."""

from __future__ import annotations

import pytest

from matrix.stage import Task

case = pytest.mark.case
anywhere = pytest.mark.parametrize("where", ["deferred", "running"])

CANCELS = {"deferred": "triggerer", "running": "worker"}


@anywhere
@pytest.mark.parametrize("state", ["failed", "success", "skipped"])
@case(retries=2)
def test_marked(task: Task, where: str, state: str) -> None:
    """(16): the run is cancelled, the task stays as it was marked, and a failed one has had no success."""
    task.start()
    task.waits(where)
    task.mark(state)
    task.ends(state, runs=["CANCELED"], cancelled_by=[(1, CANCELS[where])])
    assert task.try_number == 1
    if state == "failed":
        assert "success" not in task.callbacks()
    if where == "running":
        assert "The task was killed while it waited for run" in task.log()


@anywhere
@case()
def test_the_dag_run_is_marked_failed(task: Task, where: str) -> None:
    """(17)"""
    task.start()
    task.waits(where)
    task.mark_dag_run("failed")
    task.until(lambda: task.cancels(), "its run to be cancelled")
    assert task.dag_run_state == "failed"
    task.ends(
        "skipped" if task.state == "skipped" else "failed",
        runs=["CANCELED"],
        cancelled_by=[(1, CANCELS[where])],
    )


@anywhere
@case(dag={"dagrun_timeout": 90})
def test_the_dag_run_times_out(task: Task, where: str) -> None:
    """(17)"""
    task.start()
    task.waits(where)
    task.ends("skipped", runs=["CANCELED"], cancelled_by=[(1, CANCELS[where])])
    assert task.dag_run_state == "failed"
    assert "success" not in task.callbacks()


@anywhere
@pytest.mark.parametrize("seconds", [5, 20])
@case()
def test_the_service_answers_a_cancel_late(task: Task, where: str, seconds: int) -> None:
    """(18): later than in the second that Airflow leaves a trigger, and the five that it leaves a worker."""
    task.start()
    task.waits(where)
    task.fault("slow", operation="DeleteRun", seconds=seconds)
    task.mark("failed")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, CANCELS[where])])


@pytest.mark.parametrize("seconds", [5, 20])
@case(deferrable=True)
def test_the_service_needs_long_to_cancel(task: Task, seconds: int) -> None:
    """(18): it does nothing for a client that is gone by then."""
    task.start()
    task.waits("deferred")
    task.fault("late", operation="DeleteRun", seconds=seconds)
    task.mark("failed")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])


@case(completion_timeout=3600)
def test_the_service_needs_longer_to_cancel_than_a_worker_lives(task: Task) -> None:
    """(18): Airflow leaves no way. The next try cancels the run, and until then its own maximum bounds it."""
    task.start()
    task.waits("running")
    task.fault("late", operation="DeleteRun", seconds=20)
    task.mark("failed")
    task.until(lambda: task.state == "failed" and task.requests("DeleteRun"), "the cancel to be under way")
    task.settles()
    task.heal()
    assert [run["lifecycleState"] for run in task.runs()] == ["IN_PROGRESS"]
    assert task.runs()[0]["maxDurationInMinutes"] == 65
    task.clear()
    second = task.wait_for_run("IN_PROGRESS", number=2)
    task.end_run(second)
    task.ends("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])


@anywhere
@case()
def test_the_cancel_fails_twice(task: Task, where: str) -> None:
    """(18)"""
    task.start()
    task.waits(where)
    task.fault("status", status=503, operation="DeleteRun", count=1)
    task.fault("drop", operation="DeleteRun", count=1)
    task.mark("failed")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, CANCELS[where])])
    assert [entry["status"] for entry in task.requests("DeleteRun")][:3] == [503, 0, 204]


@case(operator="SlowToDefer", deferrable=True)
def test_killed_between_submit_and_deferral(task: Task) -> None:
    """(21)"""
    task.start()
    task.wait_for_run("IN_PROGRESS")
    task.until(lambda: "is ACCEPTED: http" in task.log(), "the run to be published")
    task.mark("failed")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])


@anywhere
@case()
def test_killed_while_the_submit_is_under_way(task: Task, where: str) -> None:
    """(21): the service has the run, but its answer is not there yet."""
    task.fault("slow", operation="CreateRun", seconds=12, count=1)
    task.start()
    task.wait_for_run()
    task.mark("failed")
    task.until(lambda: task.state == "failed", "the task to be failed")
    task.settles()
    # The signal interrupts no request, and Airflow leaves five seconds: it may end before it knows the run.
    if [run["lifecycleState"] for run in task.runs()] != ["CANCELED"]:
        task.clear()
        second = task.wait_for_run("IN_PROGRESS", number=2)
        task.until(lambda: task.cancels(), "the next try to cancel it")
        task.end_run(second)
        task.ends("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])


@case(operator="SlowToResume", deferrable=True, completion_timeout=15)
def test_killed_after_it_has_resumed(task: Task) -> None:
    """(21): a new operator instance in a new process knows which run to cancel."""
    task.start()
    task.waits("deferred")
    task.wait("running")
    task.until(lambda: "slow to resume" in task.log(), "the task to resume")
    task.mark("failed")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "success" not in task.callbacks()


@case(mapped=2, deferrable=True)
def test_one_of_two_mapped_tasks_is_killed(task: Task) -> None:
    """(16)"""
    task.trigger()
    first, second = (task.of(map_index=index) for index in range(2))
    kept = first.waits("deferred")
    second.waits("deferred")
    second.mark("failed")
    task.until(lambda: second.cancels(), "its run to be cancelled")
    task.end_run(kept)
    first.ends("success", runs=["SUCCEEDED"])
    second.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])


@case(mapped=20, deferrable=True)
def test_many_are_killed_at_the_same_time(task: Task) -> None:
    """(17): none waits for another's cancel, and Airflow's own threads are left to it."""
    task.trigger()
    each = [task.of(map_index=index) for index in range(20)]
    for one in each:
        one.waits("deferred")
    task.fault("slow", operation="DeleteRun", seconds=4)
    task.mark_dag_run("failed")
    for one in each:
        one.until(lambda one=one: one.cancels(), "its run to be cancelled")
    asked = [entry["time"] for entry in task.requests("DeleteRun")]
    assert len(asked) == 20
    assert max(asked) - min(asked) < 30


@anywhere
@case(cancel_on_kill=False)
def test_a_run_that_is_to_go_on(task: Task, where: str) -> None:
    """``cancel_on_kill=False``: the author has chosen to leave it."""
    task.start()
    run_id = task.waits(where)
    task.mark("failed")
    task.until(lambda: task.state == "failed", "the task to be failed")
    task.settles()
    task.end_run(run_id)
    task.ends("failed", runs=["SUCCEEDED"])
    assert not task.requests("DeleteRun")


@case(
    deferrable=True,
    dag={"schedule": "@daily", "catchup": False, "end_date": "2026-01-05"},
    courses={f"2026-01-0{day}": [{"outcome": "IN_PROGRESS"}] for day in (1, 2, 3)},
    display_name="{{ dag.dag_id }} {{ ds }}",
)
def test_a_backfill_is_cancelled(task: Task) -> None:
    """Airflow fails what has not begun, and lets go on what has; so do the runs."""
    number = task.backfill("2026-01-01", "2026-01-03", max_active_runs=1)
    begun, *others = task.dag_runs()
    run_id = begun.waits("deferred")
    task.stage.ask(lambda rest: rest.cancel_backfill(number))
    for other in others:
        task.until(lambda other=other: other.dag_run_state == "failed", "a day that has not begun to fail")
    begun.settles()
    task.end_run(run_id)
    begun.ends("success", runs=["SUCCEEDED"])
    assert [other.run_ids() for other in others] == [[], []]
