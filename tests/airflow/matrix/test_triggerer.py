"""Deferred tasks when the triggerer ends or freezes: cases (14), (19), (20), (24) to (26c).

These tests disturb the triggerer, so they run one at a time after all others. All of their tasks are deferred
before the first test begins, so each task also survives what the earlier tests do to the triggerer.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

import pytest

from airflow_provider_dataflow.polling import DEFAULT_NO_EVENT_BEFORE
from airflow_provider_dataflow.xcom_keys import DEFERRED_TRIGGER
from matrix import log_lines, releases
from matrix.matrix_harness import SCHEDULED_TESTS, MatrixHarness
from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
smoke = pytest.mark.smoke
pytestmark = pytest.mark.serial


@pytest.fixture(scope="module", autouse=True)
def deferred_tasks(harness: MatrixHarness, request: pytest.FixtureRequest) -> Iterator[None]:
    """Wait until the concurrent tests have ended, then defer all tasks of this module."""
    scheduled = request.session.stash[SCHEDULED_TESTS]
    wait([each.result for each in scheduled.values() if isinstance(each.result, Future)])
    # Failed tests may have left deferred tasks, which would occupy the triggerer of limited capacity below.
    for row in harness.query("SELECT dag_id, run_id FROM dag_run WHERE state NOT IN ('success', 'failed')"):
        harness.call_api(lambda rest, row=row: rest.set_run_state(row["dag_id"], row["run_id"], "failed"))
    # The scheduler is no longer busy, so the default is long enough.
    harness.bench.airflow.env["AIRFLOW__OCI_DATA_FLOW__NO_EVENT_BEFORE"] = str(DEFAULT_NO_EVENT_BEFORE)
    tasks = []
    for item in request.session.items:
        if item.path == request.path:
            task = scheduled[item.nodeid].task
            extra_dags = item.get_closest_marker("matrix_case").kwargs.get("extra_dags", {})
            deferrable = [name for name, changes in extra_dags.items() if "operator" not in changes]
            tasks += [task, *(task.in_extra_dag(name) for name in deferrable)]
    with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
        for done in [pool.submit(_defer, task) for task in tasks]:
            done.result()
    yield
    assert not active_runs(tasks)


def _defer(task: TaskUnderTest) -> None:
    task.start()
    task.wait_until_waiting("deferred")


@pytest.fixture(autouse=True)
def triggerer(harness: MatrixHarness) -> Iterator[None]:
    """Leave exactly one running triggerer after each test."""
    yield
    for name in list(harness.bench.airflow.processes):
        if name.startswith("triggerer-"):
            harness.bench.airflow.kill_component(name)
    if "triggerer" not in harness.bench.airflow.processes:
        start_triggerer(harness)


def active_runs(tasks: list[TaskUnderTest]) -> list[str]:
    return [run["id"] for task in tasks for run in task.runs() if run["lifecycleState"] == "IN_PROGRESS"]


def triggerer_of(task: TaskUnderTest) -> int | None:
    """Return the id of the triggerer that the task's trigger is assigned to."""
    rows = task.harness.query("SELECT triggerer_id FROM trigger WHERE id = %s", task.trigger_id)
    return rows[0]["triggerer_id"] if rows else None


def newest_triggerer(harness: MatrixHarness) -> int:
    rows = harness.query("SELECT max(id) AS id FROM job WHERE job_type = 'TriggererJob'")
    return int(rows[0]["id"])


def stop_triggerer(harness: MatrixHarness, number: int = signal.SIGTERM) -> None:
    """Send a signal to the triggerer, SIGKILL also to its child processes, and wait for its end."""
    process = harness.bench.airflow.processes["triggerer"]
    if number == signal.SIGKILL:
        for child in process.children(recursive=True):
            child.send_signal(number)
    harness.bench.airflow.kill_component("triggerer", number)


def start_triggerer(harness: MatrixHarness, *arguments: str) -> None:
    harness.bench.airflow.start_component("triggerer", *arguments)


@matrix_case(
    deferrable=True,
    extra_dags={
        "killed": {},
        "cleared": {},
        "old_row": {},
        "timed": {"completion_timeout": 120},
    },
)
def test_triggerer_restart_cancels_and_loses_nothing(harness: MatrixHarness, task: TaskUnderTest) -> None:
    killed, cleared, old_row, timed = (
        task.in_extra_dag(name) for name in ("killed", "cleared", "old_row", "timed")
    )
    stop_triggerer(harness)
    # (20)
    killed.mark("failed")
    # (14): no code of the old try runs again, so the new one must cancel its run.
    cleared.clear()
    second = cleared.wait_for_run("IN_PROGRESS", number=2)
    cleared.wait_until(lambda: cleared.cancels(), "the next try to cancel the old run")
    # (26c)
    row = harness.query("SELECT kwargs FROM trigger WHERE id = %s", old_row.trigger_id)[0]
    stored = json.loads(row["kwargs"])
    # Airflow before 3.2 stores the type, too.
    kwargs = stored.get("__var", stored)
    assert "cancel_timeout" in kwargs
    kwargs = {name: kwargs[name] for name in ("run_id", "oci_conn_id", "poll_interval")}
    older = {**stored, "__var": kwargs} if "__var" in stored else kwargs
    harness.query("UPDATE trigger SET kwargs = %s WHERE id = %s", json.dumps(older), old_row.trigger_id)

    start_triggerer(harness)
    # (25)
    task.wait_for_next_poll()
    task.end_run(task.run_ids()[0])
    task.wait_for_end("success", runs=["SUCCEEDED"])
    old_row.end_run(old_row.run_ids()[0])
    old_row.wait_for_end("success", runs=["SUCCEEDED"])
    cleared.end_run(second)
    cleared.wait_for_end("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    killed.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])
    # (24)
    timed.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunTimedOut" in timed.log()


@smoke
@matrix_case(deferrable=True)
def test_task_survives_stop_of_triggerer(harness: MatrixHarness, task: TaskUnderTest) -> None:
    """(25)"""
    stop_triggerer(harness)
    start_triggerer(harness)
    task.wait_for_next_poll()
    task.end_run(task.run_ids()[0])
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert task.try_number == 1


@smoke
@matrix_case(deferrable=True, extra_dags={"ended": {}})
def test_task_survives_sigkill_of_triggerer(harness: MatrixHarness, task: TaskUnderTest) -> None:
    """(25), and (14): what ends while no triggerer runs loses its run within a minute of the next start."""
    ended = task.in_extra_dag("ended")
    stop_triggerer(harness, signal.SIGKILL)
    ended.mark("failed")
    start_triggerer(harness)
    task.wait_for_next_poll()
    task.end_run(task.run_ids()[0])
    task.wait_for_end("success", runs=["SUCCEEDED"])
    assert task.try_number == 1
    ended.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])


@matrix_case(deferrable=True, type="STREAMING")
def test_maintenance_while_triggerer_is_down(harness: MatrixHarness, task: TaskUnderTest) -> None:
    """(31b): twice in a row, so that the row of the trigger names a run whose successor has ended, too."""
    task = task.variant(finds_runs_by_name=True)
    stop_triggerer(harness)
    task.maintain_run(task.wait_for_run("IN_PROGRESS"), successor_after=1)
    task.maintain_run(task.wait_for_run("IN_PROGRESS", number=2), successor_after=1)
    third = task.wait_for_run("IN_PROGRESS", number=3)
    start_triggerer(harness)
    task.wait_until_following(3)
    task.wait_until(lambda: task.xcom("run_ids") == task.run_ids(), "the XCom of all runs")
    task.end_run(third)
    task.wait_for_end("success", runs=["STOPPED", "STOPPED", "SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1


@matrix_case(deferrable=True)
def test_stopping_triggerer_finishes_its_cancel(harness: MatrixHarness, task: TaskUnderTest) -> None:
    """(19)"""
    task.add_fault("status", status=503, operation="DeleteRun", count=3)
    task.mark("failed")
    task.wait_until(lambda: task.requests("DeleteRun"), "the cancel to be sent")
    stopped_at = time.time()
    stop_triggerer(harness)
    releases.expect_stopping_triggerer_to_finish(task, lambda: start_triggerer(harness))
    accepted = [entry["time"] for entry in task.requests("DeleteRun") if entry["status"] < 300]
    assert min(accepted) > stopped_at
    start_triggerer(harness)
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])


@matrix_case(deferrable=True, extra_dags={"undisturbed": {}})
def test_frozen_triggerer_cancels_nothing_when_it_wakes(harness: MatrixHarness, task: TaskUnderTest) -> None:
    """(26): another triggerer has its triggers by then, and Airflow reports them to it as killed."""
    undisturbed = task.in_extra_dag("undisturbed")
    task.wait_for_next_poll()
    first = triggerer_of(task)
    harness.bench.airflow.start_component("triggerer", name="triggerer-2")
    frozen = harness.bench.airflow.processes["triggerer"]
    processes = [frozen, *frozen.children(recursive=True)]
    try:
        task.wait_until(lambda: task.running_triggerers() >= 2, "the second triggerer to run")
        for process in processes:
            process.suspend()
        for each in (task, undisturbed):
            each.wait_until(
                lambda each=each: triggerer_of(each) not in (first, None),
                "its trigger to move to the second triggerer",
            )
            each.wait_for_next_poll()
    finally:
        for process in processes:
            process.resume()
    task.wait_for_unwanted_effects()
    undisturbed.end_run(undisturbed.run_ids()[0])
    undisturbed.wait_for_end("success", runs=["SUCCEEDED"])
    assert log_lines.STILL_AWAITED in task.log()
    # The triggerer that has the trigger now still cancels the run on a kill.
    task.mark("failed")
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])
    harness.bench.airflow.kill_component("triggerer-2", signal.SIGTERM)


@matrix_case(
    deferrable=True,
    completion_timeout=3600,
    extra_dags={
        "second": {},
        "third": {},
        "fourth": {},
        "cleaner": {"operator": "CancelOrphanRunsOperator", "min_age_in_minutes": 0},
    },
)
def test_run_of_trigger_killed_before_start_is_cancelled_later(
    harness: MatrixHarness, task: TaskUnderTest
) -> None:
    """(20): Airflow calls nothing, so the next try, the maintenance DAG or the triggerer's sweep does it."""
    stop_triggerer(harness)
    last = newest_triggerer(harness)
    harness.bench.airflow.env["AIRFLOW__OCI_DATA_FLOW__SWEEP_INTERVAL"] = "0"
    start_triggerer(harness, "--capacity", "1")
    tasks = [task, *(task.in_extra_dag(name) for name in ("second", "third", "fourth"))]
    (started,) = task.wait_until(
        lambda: [each for each in tasks if (triggerer_of(each) or 0) > last], "one of the triggers to start"
    )
    cleared, cleaned, swept = (each for each in tasks if each is not started)
    for each in (cleared, cleaned):
        each.mark("failed")
    cleared.wait_for_unwanted_effects()
    for each in (cleared, cleaned):
        assert [run["lifecycleState"] for run in each.runs()] == ["IN_PROGRESS"]
        assert each.runs()[0]["maxDurationInMinutes"] == 65

    cleared.clear()
    second = cleared.wait_for_run("IN_PROGRESS", number=2)
    cleared.wait_until(lambda: cleared.cancels(), "the next try to cancel the old run")

    cleaner = task.in_extra_dag("cleaner")
    cleaner.start()
    cleaner.wait_for_end("success", runs=[])
    cleaned.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert log_lines.ONE_ORPHAN_CANCELLED in cleaner.log()

    trigger_id = swept.trigger_id
    swept.mark("failed")
    # Airflow deletes the trigger of a task that has ended, and tells nobody.
    trigger = "SELECT id FROM trigger WHERE id = %s"
    swept.wait_until(lambda: not harness.query(trigger, trigger_id), "its trigger to be deleted")
    stop_triggerer(harness)
    del harness.bench.airflow.env["AIRFLOW__OCI_DATA_FLOW__SWEEP_INTERVAL"]
    start_triggerer(harness)
    swept.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])
    cleared.end_run(second)
    cleared.wait_for_end("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    started.end_run(started.run_ids()[0])
    started.wait_for_end("success", runs=["SUCCEEDED"])
    # Markers of ended tasks are removed, so that a sweep reads few rows.
    for each in (swept, started):
        counted = partial(harness.query, releases.COUNT_XCOMS, DEFERRED_TRIGGER, each.dag_id)
        each.wait_until(lambda counted=counted: counted()[0]["rows"] == 0, "its XCom to go")
