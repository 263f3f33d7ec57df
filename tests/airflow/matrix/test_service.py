"""The service misbehaves: cases (27) to (30), and (26b)."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.polling import DEFAULT_NO_EVENT_BEFORE
from matrix.stage import LONGER, Task

#: Seconds.
OUTAGE = 60 + LONGER

case = pytest.mark.case
anywhere = pytest.mark.parametrize("where", ["deferred", "running"])


@anywhere
@case(poll_interval=1)
def test_an_outage(task: Task, where: str) -> None:
    """(27): of a minute, and deferred of as many failed looks as 20 minutes have at the default interval.

    How long errors are borne is counted in time, and is half an hour by default: tests/unit/test_polling.py.
    """
    task.start()
    run_id = task.waits(where)
    task.fault("drop")
    enough = {"deferred": 40, "running": 10}[where]

    def long_enough() -> bool:
        times = [entry["time"] for entry in task.requests("GetRun") if entry["status"] == 0]
        return len(times) >= enough and times[-1] - times[0] >= OUTAGE

    task.until(long_enough, f"{OUTAGE:.0f} seconds without an answer", at_least=OUTAGE)
    task.heal()
    looked = len(task.requests("GetRun"))
    task.until(lambda: len(task.requests("GetRun")) > looked, "it to look again")
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert task.try_number == 1
    # Deferred, one line for all tasks of a connection, in the triggerer's own log.
    triggerer = task.stage.bench.airflow.log_file("triggerer").read_text()
    where_it_is_said = {"running": task.log(), "deferred": triggerer}[where]
    assert [line for line in where_it_is_said.splitlines() if "Waiting on for" in line]


@anywhere
@case(error_budget=10)
def test_an_outage_beyond_the_budget(task: Task, where: str) -> None:
    """(27): said as such; what can still be cancelled is."""
    task.start()
    task.waits(where)
    task.fault("status", status=503, operation="GetRun")
    task.until(lambda: task.cancels(), "its run to be given up")
    task.ends("failed", runs=["CANCELED"], cancelled_by=[(1, "worker")])
    assert "RunLost" in task.log()


@anywhere
@case(error_budget=10, cancel_timeout=2, retries=1)
def test_an_outage_of_everything_beyond_the_budget(task: Task, where: str) -> None:
    """(27): the error says that the run may go on; the next try goes on with it."""
    task.start()
    run_id = task.waits(where)
    task.fault("drop")
    task.until(lambda: task.state == "up_for_retry" or task.try_number == 2, "the first try to fail")
    task.heal()
    line = "of an earlier try is still IN_PROGRESS: the task goes on with it"
    task.until(lambda: task.try_number == 2 and line in task.log(2), "the next try to find its run")
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert "RunLost" in task.log(1)
    assert "could not be cancelled and may still be running" in task.log(1)


@anywhere
@case()
def test_stray_errors(task: Task, where: str) -> None:
    """(28)"""
    task.start()
    run_id = task.waits(where)
    for status in (401, 403, 404):
        task.fault("status", status=status, operation="GetRun", count=2)
    for kind in ("drop", "truncated_body"):
        task.fault(kind, operation="GetRun", count=2)

    def met() -> bool:
        kinds = [(entry["notes"].get("fault") or {}).get("kind") for entry in task.requests("GetRun")]
        return len([kind for kind in kinds if kind]) == 10 and kinds[-1] is None

    task.until(met, "all of the errors to be met")
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert task.try_number == 1


@anywhere
@case(error_budget=10)
def test_a_run_that_is_gone(task: Task, where: str) -> None:
    """(29): deleted, or moved to where this user may not look."""
    task.start()
    run_id = task.waits(where)
    task.fault("vanish", resourceId=run_id)
    task.until(lambda: task.state == "failed", "the task to give up")
    log = task.log()
    assert "RunLost" in log
    assert "NotAuthorizedOrNotFound" in log
    assert "could not be cancelled and may still be running" in log
    task.heal()
    task.end_run(run_id)
    task.ends("failed", runs=["SUCCEEDED"])


@anywhere
@case(course={"outcome": "IN_PROGRESS", "state": "HIBERNATING"})
def test_a_state_that_nobody_knows(task: Task, where: str) -> None:
    """(30): it is waited out. The states that are known are in test_retry.py."""
    task.start()
    run_id = task.wait_for_run("HIBERNATING")
    task.wait(where)
    task.until(lambda: len(task.requests("GetRun")) >= 5, "it to be looked at some times")
    assert task.state == where
    task.end_run(run_id)
    task.ends("success", runs=["SUCCEEDED"])
    assert "HIBERNATING" in task.log()


@case(course={"duration": 1}, mapped=4, deferrable=True, retries=1)
def test_an_event_within_seconds_of_the_deferral(task: Task) -> None:
    """(26b): Airflow can fail a task whose trigger fires while its worker is still signing off.

    So the trigger keeps quiet for a while. How long a scheduler needs is not known to anybody; a retry then
    adopts the run.
    """
    task.trigger()
    for index in range(4):
        one = task.of(map_index=index)
        one.ends("success", runs=["SUCCEEDED"])
        (run_id,) = one.run_ids()
        looks = [entry["time"] for entry in task.requests("GetRun") if entry["resource_id"] == run_id]
        submit = next(entry["time"] for entry in task.requests("CreateRun") if entry["resource_id"] == run_id)
        assert looks[0] - submit >= DEFAULT_NO_EVENT_BEFORE


@case(operator="RunSensor", deferrable=True, run_id="{{ dag_run.conf.run_id }}")
def test_a_sensor_never_cancels(task: Task) -> None:
    run_id = task.submit_beside()
    task.start(conf={"run_id": run_id})
    task.wait("deferred")
    task.until(lambda: task.trigger_has_started(), "its trigger to start")
    task.mark("failed")
    task.until(lambda: task.state == "failed", "the sensor to be failed")
    task.settles()
    assert not task.requests("DeleteRun")
    task.end_run(run_id)
