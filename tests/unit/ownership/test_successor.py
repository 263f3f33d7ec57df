from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.streaming_guard import StreamingGuard
from airflow_provider_dataflow.ownership.successor import may_have_successor, seconds_left, successors_among
from airflow_provider_dataflow.ownership.successor_search import SuccessorWait
from airflow_provider_dataflow.ownership.tags import TaskTags
from tests.unit.support import APPLICATION_ID, run_body

ENDED = datetime(2026, 1, 1, tzinfo=UTC)


def run(name: str = "1", minutes: float = 0, *, token: str | None = None, **fields) -> Run:
    """Return a STREAMING run that was created some minutes after the others."""
    tags = TaskTags(TaskIdentity("dag", "run", "task"), 1, token).tags() if token else None
    body = {"type": "STREAMING", "id": f"ocid1.dataflowrun.oc1.iad.{name}", "freeformTags": tags}
    body["timeCreated"] = (ENDED + timedelta(minutes=minutes)).isoformat()
    return Run.from_api(run_body("STOPPED", **body | fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"lifecycleDetails": "Stopped for planned MAINTENANCE"}, True),
        ({"lifecycleDetails": "Stopped by user request for maintenance"}, True),
        ({"lifecycleDetails": "Stopped by a user"}, False),
        ({"lifecycleDetails": "Run was cancelled"}, False),
        ({"lifecycleDetails": "The run exceeded its maximum duration"}, False),
        ({"lifecycleDetails": "Something new"}, True),
        ({"lifecycleDetails": None}, True),
        ({"type": "BATCH"}, False),
        ({"type": "SESSION"}, False),
        ({"type": None}, False),
        ({"lifecycleState": "STOPPING"}, False),
        ({"lifecycleState": "CANCELED"}, False),
        ({"lifecycleState": "FAILED"}, False),
    ],
)
def test_stopped_streaming_run_may_have_successor(fields, expected):
    assert may_have_successor(run(**fields)) is expected


@pytest.mark.parametrize(("now", "left"), [(0, 60), (59, 1), (61, -1), (-300, 60)])
def test_successor_is_waited_for_from_the_end_of_the_run(now, left):
    """A clock that is behind that of the service does not shorten the wait."""
    stopped = run(timeUpdated=ENDED.isoformat())
    assert seconds_left(stopped, 60, ENDED.timestamp() + now) == left


def test_successors_are_the_newer_runs_oldest_first():
    stopped, second, third = run("1"), run("2", 5), run("3", 10)
    assert successors_among(stopped, [third, second, stopped, run("0", -5)]) == [second, third]
    assert successors_among(third, [third, second, stopped]) == []


def test_successor_may_be_created_in_the_same_millisecond():
    assert successors_among(run("1"), [run("2"), run("1")]) == [run("2")]


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (None, None, True),
        ("mine", None, True),
        ("mine", "mine", True),
        ("mine", "another's", False),
        (None, "another's", False),
    ],
)
def test_run_of_another_submit_is_no_successor(own, other, expected):
    found = successors_among(run("1", token=own), [run("2", 5, token=other)])
    assert bool(found) is expected


def test_batch_run_is_no_successor():
    assert successors_among(run("1"), [run("2", 5, type="BATCH")]) == []


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ("planned maintenance of [--password, MARKED-1]", "for maintenance"),
        ("[--password, MARKED-1]", "for an unknown reason"),
    ],
)
def test_reason_of_a_stop_is_logged_without_the_details(mocker, caplog, details, reason):
    caplog.set_level(logging.INFO)
    ended = datetime.now(UTC).isoformat()
    stopped = run(lifecycleDetails=details, applicationId=APPLICATION_ID, timeUpdated=ended)
    log = logging.getLogger("task")
    SuccessorWait(stopped, timeout=3600, poll_interval=30, error_budget=60, log=log)
    assert f"Run {stopped.id} was stopped {reason}" in caplog.text
    request = mocker.Mock(type="STREAMING", effective_application_id=APPLICATION_ID)
    hook = mocker.Mock()
    hook.list_runs.return_value = iter([stopped])
    found = StreamingGuard(hook, request, 3600).find("token")
    assert found is not None
    assert found[1].endswith(f"was stopped {reason}")
    assert "MARKED-1" not in caplog.text + found[1]
