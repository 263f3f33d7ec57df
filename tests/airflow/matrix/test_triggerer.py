"""What becomes of deferred tasks when the triggerer ends, or freezes: cases (14), (19), (20), (24) to (26c).

These tests hurt the triggerer, so they run after all others, one after the other. Their tasks are all
deferred before the first of them begins, and so live through what the tests before theirs have done.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from airflow_provider_dataflow.polling import DEFAULT_NO_EVENT_BEFORE
from matrix.stage import PLAYS, Stage, Task

case = pytest.mark.case
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module", autouse=True)
def deferred(stage: Stage, request: pytest.FixtureRequest) -> Iterator[None]:
    """All tasks of this module are deferred, and nobody else needs the triggerer any more."""
    plays = request.session.stash[PLAYS]
    wait([future for _, future in plays.values() if isinstance(future, Future)])
    # What failed may have left tasks deferred, for which there is no place below.
    for row in stage.query("SELECT dag_id, run_id FROM dag_run WHERE state NOT IN ('success', 'failed')"):
        stage.ask(lambda rest, row=row: rest.set_run_state(row["dag_id"], row["run_id"], "failed"))
    # There is less to do from here on.
    stage.bench.airflow.env["AIRFLOW__OCI_DATA_FLOW__NO_EVENT_BEFORE"] = str(DEFAULT_NO_EVENT_BEFORE)
    waiting = []
    for item in request.session.items:
        if item.path == request.path:
            task = plays[item.nodeid][0]
            also = item.get_closest_marker("case").kwargs.get("also", {})
            waiting += [task, *(task.beside(name) for name, case in also.items() if "operator" not in case)]
    with ThreadPoolExecutor(max_workers=len(waiting)) as pool:
        for done in [pool.submit(_defer, task) for task in waiting]:
            done.result()
    yield
    assert not left_behind(waiting)


def _defer(task: Task) -> None:
    task.start()
    task.waits("deferred")


@pytest.fixture(autouse=True)
def triggerer(stage: Stage) -> Iterator[None]:
    """There is one, whatever the test before has left."""
    yield
    for name in list(stage.bench.airflow.processes):
        if name.startswith("triggerer-"):
            stage.bench.airflow.kill_component(name)
    if "triggerer" not in stage.bench.airflow.processes:
        start_triggerer(stage)


def left_behind(tasks: list[Task]) -> list[str]:
    return [run["id"] for task in tasks for run in task.runs() if run["lifecycleState"] == "IN_PROGRESS"]


def triggerer_of(task: Task) -> int | None:
    """The triggerer that has the task's trigger, as Airflow's database says."""
    rows = task.stage.query("SELECT triggerer_id FROM trigger WHERE id = %s", task.trigger_id)
    return rows[0]["triggerer_id"] if rows else None


def newest_triggerer(stage: Stage) -> int:
    rows = stage.query("SELECT max(id) AS id FROM job WHERE job_type = 'TriggererJob'")
    return int(rows[0]["id"])


def stop_triggerer(stage: Stage, number: int = signal.SIGTERM) -> None:
    """End the triggerer's processes by a signal."""
    process = stage.bench.airflow.processes["triggerer"]
    family = [*process.children(recursive=True), process] if number == signal.SIGKILL else [process]
    for member in family[:-1]:
        member.send_signal(number)
    stage.bench.airflow.kill_component("triggerer", number)


def start_triggerer(stage: Stage, *arguments: str) -> None:
    stage.bench.airflow.start_component("triggerer", *arguments)


def looked_at_again(task: Task) -> None:
    """Wait until the task's trigger asks the service again."""
    looked = len(task.requests("GetRun"))
    task.until(lambda: len(task.requests("GetRun")) > looked, "its trigger to run again")


@case(
    deferrable=True,
    also={
        "killed": {},
        "cleared": {},
        "of_an_older_version": {},
        "timed": {"completion_timeout": 120},
    },
)
def test_the_triggerer_is_restarted(stage: Stage, task: Task) -> None:
    killed, cleared, older, timed = (
        task.beside(name) for name in ("killed", "cleared", "of_an_older_version", "timed")
    )
    stop_triggerer(stage)
    # (20)
    killed.mark("failed")
    # (14): nothing of the old try runs ever again, so the new one has to end its run.
    cleared.clear()
    second = cleared.wait_for_run("IN_PROGRESS", number=2)
    cleared.until(lambda: cleared.cancels(), "the next try to cancel the run of the last")
    # (26c)
    row = stage.query("SELECT kwargs FROM trigger WHERE id = %s", older.trigger_id)[0]
    kwargs = json.loads(row["kwargs"])
    assert "cancel_timeout" in kwargs
    kwargs = {name: kwargs[name] for name in ("run_id", "oci_conn_id", "poll_interval")}
    stage.query("UPDATE trigger SET kwargs = %s WHERE id = %s", json.dumps(kwargs), older.trigger_id)

    start_triggerer(stage)
    # (25)
    looked_at_again(task)
    task.end_run(task.run_ids()[0])
    task.ends("success", runs=["SUCCEEDED"])
    older.end_run(older.run_ids()[0])
    older.ends("success", runs=["SUCCEEDED"])
    cleared.end_run(second)
    cleared.ends("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    killed.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])
    # (24)
    timed.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunTimedOut" in timed.log()


@case(deferrable=True)
def test_the_triggerer_is_killed(stage: Stage, task: Task) -> None:
    """(25): ``kill -9``."""
    stop_triggerer(stage, signal.SIGKILL)
    start_triggerer(stage)
    looked_at_again(task)
    task.end_run(task.run_ids()[0])
    task.ends("success", runs=["SUCCEEDED"])
    assert task.try_number == 1


@case(deferrable=True)
def test_the_triggerer_ends_while_it_cancels(stage: Stage, task: Task) -> None:
    """(19): it sees the cancel through before it ends."""
    task.fault("status", status=503, operation="DeleteRun", count=3)
    task.mark("failed")
    task.until(lambda: task.requests("DeleteRun"), "the cancel to be under way")
    told = time.time()
    stop_triggerer(stage)
    accepted = [entry["time"] for entry in task.requests("DeleteRun") if entry["status"] < 300]
    assert min(accepted) > told
    start_triggerer(stage)
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])


@case(deferrable=True, also={"kept": {}})
def test_a_triggerer_freezes(stage: Stage, task: Task) -> None:
    """(26): another one takes its triggers; when it wakes, Airflow tells it that they were killed."""
    kept = task.beside("kept")
    looked_at_again(task)
    first = triggerer_of(task)
    stage.bench.airflow.start_component("triggerer", name="triggerer-2")
    frozen = stage.bench.airflow.processes["triggerer"]
    family = [frozen, *frozen.children(recursive=True)]
    try:
        task.until(lambda: task.triggerers() >= 2, "the second triggerer to live")
        for member in family:
            member.suspend()
        for one in (task, kept):
            one.until(lambda one=one: triggerer_of(one) not in (first, None), "its trigger to be taken over")
            looked_at_again(one)
    finally:
        for member in family:
            member.resume()
    task.settles()
    kept.end_run(kept.run_ids()[0])
    kept.ends("success", runs=["SUCCEEDED"])
    assert "the task still waits for it elsewhere" in task.log()
    # The one that has it now still cancels.
    task.mark("failed")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])
    stage.bench.airflow.kill_component("triggerer-2", signal.SIGTERM)


@case(
    deferrable=True,
    completion_timeout=3600,
    also={
        "second": {},
        "third": {},
        "cleaner": {"operator": "CancelOrphanRunsOperator", "min_age_in_minutes": 0},
    },
)
def test_killed_before_its_trigger_has_a_place(stage: Stage, task: Task) -> None:
    """(20): Airflow tells nobody. The next try cancels the run, or the maintenance DAG, or the service."""
    stop_triggerer(stage)
    last = newest_triggerer(stage)
    start_triggerer(stage, "--capacity", "1")
    three = [task, task.beside("second"), task.beside("third")]
    (started,) = task.until(
        lambda: [one for one in three if (triggerer_of(one) or 0) > last], "one of the triggers to start"
    )
    cleared, cleaned = (one for one in three if one is not started)
    for one in (cleared, cleaned):
        one.mark("failed")
    cleared.settles()
    for one in (cleared, cleaned):
        assert [run["lifecycleState"] for run in one.runs()] == ["IN_PROGRESS"]
        assert one.runs()[0]["maxDurationInMinutes"] == 65

    cleared.clear()
    second = cleared.wait_for_run("IN_PROGRESS", number=2)
    cleared.until(lambda: cleared.cancels(), "the next try to cancel the run of the last")

    cleaner = task.beside("cleaner")
    cleaner.start()
    cleaner.ends("success", runs=[])
    cleaned.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "1 orphans, 1 of them cancelled" in cleaner.log()

    stop_triggerer(stage)
    start_triggerer(stage)
    cleared.end_run(second)
    cleared.ends("success", runs=["CANCELED", "SUCCEEDED"], cancelled_by=[(1, "worker")])
    started.end_run(started.run_ids()[0])
    started.ends("success", runs=["SUCCEEDED"])
