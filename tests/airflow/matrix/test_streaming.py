"""Maintenance of STREAMING runs: cases (31) to (31f). With a stopped triggerer, see test_triggerer.py."""

from __future__ import annotations

import pytest

from matrix import log_lines, releases
from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
both_modes = pytest.mark.parametrize("mode", ["deferred", "running"])

CANCELLER = {"deferred": "triggerer", "running": "worker"}


@both_modes
@matrix_case(type="STREAMING")
def test_task_follows_two_successors(task: TaskUnderTest, mode: str) -> None:
    """(31): two maintenances in a row."""
    task = task.variant(finds_runs_by_name=True)
    task.start()
    task.maintain_run(task.wait_until_waiting(mode))
    task.maintain_run(task.wait_until_following(2))
    third = task.wait_until_following(3)
    task.wait_until(lambda: task.xcom("run_ids") == task.run_ids(), "the XCom of all runs")
    assert task.xcom("run_id") == third
    assert third in task.xcom("run_page_url")
    task.end_run(third)
    task.wait_for_end("success", runs=["STOPPED", "STOPPED", "SUCCEEDED"])
    assert task.try_number == 1
    assert len(task.requests("CreateRun")) == 1
    assert task.log().count(log_lines.FOLLOWED) == 2


@matrix_case(type="STREAMING", retries=1, retry_delay=15)
def test_maintenance_during_retry(task: TaskUnderTest) -> None:
    """(31b): the worker is lost, and the successor starts before the second try."""
    task = task.variant(finds_runs_by_name=True)
    task.start()
    first = task.wait_until_waiting("running")
    task.kill_worker()
    releases.expect_retry_of_killed_stream(task)
    task.wait_for_state("up_for_retry")
    task.maintain_run(first, successor_after=1)
    task.wait_for_retry(log_lines.SUCCESSOR_FOUND.format(run_id=first))
    task.end_run(task.wait_until_following(2))
    task.wait_for_end("success", runs=["STOPPED", "SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1
    assert task.xcom("run_ids") == task.run_ids()


@matrix_case(type="STREAMING", retries=1, retry_delay=5, operator="KilledBeforeDefer", deferrable=True)
def test_successor_starts_during_retry(task: TaskUnderTest) -> None:
    """(31b): the second try starts between the end of the run and the start of its successor."""
    task = task.variant(finds_runs_by_name=True)
    task.start()
    first = task.wait_for_run("IN_PROGRESS")
    releases.expect_retry_of_killed_stream(task)
    task.maintain_run(first, successor_after=90)
    task.wait_for_state("deferred", try_number=2)
    assert len(task.runs()) == 1
    task.end_run(task.wait_until_following(2))
    task.wait_for_end("success", runs=["STOPPED", "SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1


@both_modes
@matrix_case(type="STREAMING")
def test_kill_after_second_maintenance_cancels_third_run(task: TaskUnderTest, mode: str) -> None:
    """(31c)"""
    task = task.variant(finds_runs_by_name=True)
    task.start()
    task.maintain_run(task.wait_until_waiting(mode))
    task.maintain_run(task.wait_until_following(2))
    task.wait_until_following(3)
    task.mark("failed")
    task.wait_for_end("failed", runs=["STOPPED"] * 3, cancelled_by=[(3, CANCELLER[mode])])
    assert len(task.requests("CreateRun")) == 1


@matrix_case(type="STREAMING", deferrable=True)
def test_clear_while_successor_starts(task: TaskUnderTest) -> None:
    """(31d): one CreateRun before the clear and one after it, and no two live runs."""
    task = task.variant(finds_runs_by_name=True)
    task.start()
    task.maintain_run(task.wait_until_waiting("deferred"), successor_after=25)
    task.wait_for_run("STOPPED")
    task.clear()
    third = task.wait_until_waiting("deferred", number=3)
    task.end_run(third)
    # The new try or the old trigger cancels the successor, whichever comes first.
    canceller = task.cancels()[0][1]
    task.wait_for_end("success", runs=["STOPPED", "STOPPED", "SUCCEEDED"], cancelled_by=[(2, canceller)])
    assert len(task.requests("CreateRun")) == 2
    _, second, last = task.runs()
    assert second["states"][-1]["time"] <= last["states"][0]["time"]
    assert task.xcom("run_ids") == [third]


@matrix_case(type="STREAMING")
def test_clear_in_worker_while_successor_starts(task: TaskUnderTest) -> None:
    """(31f): as (31d). Airflow leaves max_tries unchanged, since the task runs in a worker."""
    task = task.variant(finds_runs_by_name=True)
    task.start()
    task.maintain_run(task.wait_until_waiting("running"), successor_after=25)
    task.wait_for_run("STOPPED")
    task.clear()
    releases.expect_clear_of_stream_to_be_recognized(task)
    third = task.wait_until_waiting("running", number=3)
    task.end_run(third)
    task.wait_for_end("success", runs=["STOPPED", "STOPPED", "SUCCEEDED"], cancelled_by=[(2, "worker")])
    assert len(task.requests("CreateRun")) == 2
    assert task.xcom("run_ids") == [third]


@matrix_case(operator="RunSensor", deferrable=True, poke_interval=1, run_id="{{ dag_run.conf.run_id }}")
def test_sensor_follows_successor(task: TaskUnderTest) -> None:
    """(31): the sensor neither submits nor cancels."""
    task = task.variant(finds_runs_by_name=True)
    first = task.submit_unowned_run(type="STREAMING")
    task.trigger(conf={"run_id": first})
    task.wait_for_state("deferred")
    task.wait_for_run("IN_PROGRESS")
    task.maintain_run(first)
    task.end_run(task.wait_until_following(2))
    task.wait_for_end("success", runs=["STOPPED", "SUCCEEDED"])
    assert not task.requests("DeleteRun")
