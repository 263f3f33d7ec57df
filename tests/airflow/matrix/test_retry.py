"""An automatic retry: cases (7) to (10)."""

from __future__ import annotations

import signal
import time

import pytest

from airflow_provider_dataflow.ownership.record_store import RECORD_KEY
from matrix.stage import Task

case = pytest.mark.case
anywhere = pytest.mark.parametrize("where", ["deferred", "running"])

STILL = "of an earlier try is still IN_PROGRESS: the task goes on with it"
DAY = 24 * 3600
FAILED, CANCELED, STOPPED = {"outcome": "FAILED"}, {"outcome": "CANCELED"}, {"outcome": "STOPPED"}
#: A deferrable task has no worker any more while it waits, so it loses the one that it has before.
LOSES_ITS_WORKER = {"deferred": "KilledBeforeDefer", "running": "KilledWhileWaiting"}


@case(retries=1)
def test_a_run_under_way_is_gone_on_with(task: Task) -> None:
    """(7): ``kill -9`` while the task waits in a worker. For deferrable tasks, see (3)."""
    task.start()
    run_id = task.waits("running")
    task.kill_worker()
    task.until(lambda: task.try_number == 2 and STILL in task.log(2), "the next try to find its run")
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1
    assert task.callbacks()[-1] == "success"


@case(retries=1)
def test_a_worker_that_is_told_to_stop(task: Task) -> None:
    """As by an evicted pod: ``on_kill`` is called, but nobody has ended the task."""
    task.start()
    run_id = task.waits("running")
    task.kill_worker(signal.SIGTERM)
    task.until(lambda: task.try_number == 2 and STILL in task.log(2), "the next try to find its run")
    assert f"the next try goes on with run {run_id}" in task.log(1)
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1


@case(retries=1)
def test_a_machine_that_is_lost(task: Task) -> None:
    """(7): nobody is left to tell the scheduler, which misses the task's heartbeats."""
    task.start()
    run_id = task.waits("running")
    task.kill_worker(machine=True)
    task.until(lambda: task.try_number == 2 and STILL in task.log(2), "the next try to find its run")
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1


@anywhere
@case(course={"duration": 1}, retries=1, retry_delay=5, operator=LOSES_ITS_WORKER)
def test_a_run_that_succeeded_meanwhile_is_adopted(task: Task) -> None:
    """(8)"""
    task.start()
    task.ends("success", runs=["SUCCEEDED"])
    assert task.try_number == 2
    assert len(task.requests("CreateRun")) == 1
    assert "of an earlier try has SUCCEEDED: nothing is submitted" in task.log()


@anywhere
@case(course=[FAILED, CANCELED, STOPPED, {}], retries=3)
def test_a_run_that_ended_badly_is_replaced(task: Task) -> None:
    """(9), (30): each try says how its run ended, and the next one submits another."""
    task.start()
    task.ends("success", runs=["FAILED", "CANCELED", "STOPPED", "SUCCEEDED"])
    assert task.try_number == 4
    for try_number, error in enumerate(("RunFailed", "RunCanceled", "RunStopped"), start=1):
        assert f"{error}: Run {task.run_ids()[try_number - 1]}" in task.log(try_number)
    assert len({entry["retry_token"] for entry in task.requests("CreateRun")}) == 4
    assert task.callbacks() == ["retry", "retry", "retry", "success"]
    assert task.exceptions() == ["RunFailed", "RunCanceled", "RunStopped"]


@pytest.mark.parametrize("outcome", ["FAILED", "CANCELED", "STOPPED"])
@case(course={}, retries=1, retry_delay=5, operator="KilledAfterRecord", deferrable=True)
def test_a_run_that_ended_badly_while_nobody_looked_is_replaced(task: Task, outcome: str) -> None:
    """(9)"""
    task.stage.local(
        "POST",
        "rules",
        {
            "displayName": task.dag_id,
            "attempts": [{"outcome": outcome}, {"outcome": "SUCCEEDED"}],
        },
    )
    task.start()
    task.ends("success", runs=[outcome, "SUCCEEDED"])
    assert f"of an earlier try is {outcome}; a new one is asked for" in task.log(2)


@anywhere
@case(retries=1, retry_delay=15)
def test_a_token_that_the_service_has_forgotten(task: Task) -> None:
    """(10): killed between accept and record, and retried more than 24 hours later."""
    task.fault("slow", operation="CreateRun", seconds=60, count=1)
    task.start()
    run_id = task.wait_for_run()
    task.kill_worker()
    task.wait("up_for_retry")
    record = task.stored(RECORD_KEY)
    assert "run_id" not in record
    task.store(RECORD_KEY, record | {"time": time.time() - DAY - 60})
    task.until(lambda: task.try_number == 2 and STILL in task.log(2), "the next try to find its run")
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1, "a token that is forgotten would start another run"
