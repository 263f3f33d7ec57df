"""The submit: cases (1) to (6)."""

from __future__ import annotations

import pytest

from matrix.stage import Task

case = pytest.mark.case
anywhere = pytest.mark.parametrize("where", ["deferred", "running"])

SHORT = {"duration": 3}


def tokens(task: Task) -> list[str]:
    return [entry["retry_token"] for entry in task.requests("CreateRun")]


@anywhere
@case(course=SHORT)
def test_the_answer_to_the_submit_is_lost(task: Task) -> None:
    """(1)"""
    task.fault("lost_response", operation="CreateRun", count=2)
    task.start()
    task.ends("success", runs=["SUCCEEDED"])
    assert len(tokens(task)) == 3
    assert len(set(tokens(task))) == 1


def goes_on_with_the_first_run(task: Task) -> None:
    """The next try takes over the run that the first one has left, and nothing is submitted."""
    line = "of an earlier try is still IN_PROGRESS: the task goes on with it"
    task.until(lambda: task.try_number == 2 and line in task.log(2), "the next try to find its run")
    task.end_run(task.run_ids()[0])
    task.ends("success", runs=["SUCCEEDED"])
    assert len(set(tokens(task))) == 1


@anywhere
@case(retries=1)
def test_killed_between_accept_and_record(task: Task) -> None:
    """(2), (5): the service has accepted, its answer takes long, and ``kill -9`` comes first."""
    task.fault("slow", operation="CreateRun", seconds=60, count=1)
    task.start()
    task.wait_for_run()
    task.kill_worker()
    goes_on_with_the_first_run(task)
    assert [entry["status"] for entry in task.requests("CreateRun")] == [200, 200]


@anywhere
@case(retries=1)
def test_the_replay_of_a_token_is_refused(task: Task) -> None:
    """(5): as before, but the service answers the second submit with 409."""
    task.fault("slow", operation="CreateRun", seconds=60, count=1)
    task.fault("replay_conflict", operation="CreateRun")
    task.start()
    task.wait_for_run()
    task.kill_worker()
    goes_on_with_the_first_run(task)
    assert [entry["status"] for entry in task.requests("CreateRun")] == [200, 409]
    assert "The service knows this submit, but does not say its run" in task.log(2)


@anywhere
@case(retries=1, operator="KilledAfterRecord")
def test_killed_after_the_record(task: Task) -> None:
    """(3)"""
    task.start()
    goes_on_with_the_first_run(task)
    assert len(tokens(task)) == 1


@case(retries=1, operator="KilledBeforeDefer", deferrable=True)
def test_killed_before_the_deferral(task: Task) -> None:
    """(3)"""
    task.start()
    goes_on_with_the_first_run(task)
    assert len(tokens(task)) == 1


@anywhere
@pytest.mark.parametrize("status", [404, 503])
@case(course=SHORT)
def test_the_first_reads_after_the_submit_fail(task: Task, status: int) -> None:
    """(4)"""
    task.fault("status", status=status, operation="GetRun", count=2)
    task.start()
    task.ends("success", runs=["SUCCEEDED"])
    assert [entry["status"] for entry in task.requests("GetRun")][:3] == [status, status, 200]


@anywhere
@case(course=SHORT)
def test_the_service_is_busy_when_it_is_asked_to_submit(task: Task) -> None:
    """(6)"""
    task.fault("status", status=429, operation="CreateRun", count=1, retryAfter=2)
    task.fault("status", status=503, operation="CreateRun", count=1)
    task.fault("drop", operation="CreateRun", count=1)
    task.start()
    task.ends("success", runs=["SUCCEEDED"])
    assert [entry["status"] for entry in task.requests("CreateRun")] == [429, 503, 0, 200]
    times = [entry["time"] for entry in task.requests("CreateRun")]
    assert times[1] - times[0] >= 2
    assert len(set(tokens(task))) == 1


@anywhere
@case(course=SHORT)
def test_the_service_has_no_room(task: Task) -> None:
    """(6): a limit is waited for; a task that can be deferred is, meanwhile."""
    task.fault("limit_exceeded", limit=0, count=1)
    task.start()
    task.ends("success", runs=["SUCCEEDED"])
    assert [entry["code"] for entry in task.requests("CreateRun")] == ["LimitExceeded", None]
    assert "The submit is tried again in" in task.log()


@anywhere
@case(course=SHORT, error_budget=20, retries=1, retry_delay=10)
def test_the_service_is_down_for_longer_than_is_borne(task: Task) -> None:
    """(6): the next try finds whatever came of the first, and there is one run in the end."""
    task.fault("lost_response", operation="CreateRun", forSeconds=45)
    task.start()
    task.ends("success", runs=["SUCCEEDED"])
    assert len(set(tokens(task))) == 1
