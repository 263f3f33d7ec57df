from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.record import (
    TOKEN_LIFETIME_SECONDS,
    RunDecision,
    SubmissionRecord,
    decide,
    retry_token,
)

IDENTITY = TaskIdentity("dag", "manual__1", "task")
RECORD = SubmissionRecord(
    token="t", generation=1, clear_epoch=2, try_number=1, time=5.0, run_id="ocid1.dataflowrun.x"
)


def test_same_submit_has_same_token_of_valid_length():
    token = retry_token(IDENTITY, clear_epoch=2, generation=0)
    assert token == retry_token(IDENTITY, clear_epoch=2, generation=0)
    assert 1 <= len(token) <= 64


def test_token_is_unchanged_since_the_first_version():
    """A task that was submitted before an upgrade finds its run by this token after it."""
    assert retry_token(IDENTITY, clear_epoch=2, generation=0, dag_run_start="2026-01-01") == (
        "222cf3a5db540fa1d4f413d7a8bf3e8048b5afd91ba664fddbd253fd41bf8701"
    )


def test_different_submits_have_different_tokens():
    identities = [
        TaskIdentity(*parts)
        for parts in itertools.product(("a", "ab"), ("c", "bc"), ("d",), (-1, 0, 1))  # "a" + "bc", "ab" + "c"
    ]
    tokens = [
        retry_token(identity, clear_epoch=epoch, generation=generation, dag_run_start=start)
        for identity in identities
        for epoch, generation, start in itertools.product((0, 1), (0, 1), ("", "2026-01-01"))
    ]
    assert len(set(tokens)) == len(tokens)


def test_record_survives_storage():
    assert SubmissionRecord.from_json(RECORD.as_json()) == RECORD
    without_response = SubmissionRecord(token="t", generation=0, clear_epoch=0, try_number=1, time=5.0)
    assert SubmissionRecord.from_json(without_response.as_json()) == without_response
    changed = replace(RECORD, causes=("executor_memory",), settings={"num_executors": 4})
    assert SubmissionRecord.from_json(changed.as_json()) == changed


def test_record_of_first_version_is_read():
    stored = {"token": "t", "generation": 1, "max_tries": 2, "try_number": 1, "time": 5.0}
    assert SubmissionRecord.from_json({**stored, "run_id": "ocid1.dataflowrun.x"}) == RECORD
    assert RECORD.as_json() == {**stored, "run_id": "ocid1.dataflowrun.x"}


def test_fields_of_a_newer_version_are_ignored():
    assert SubmissionRecord.from_json({**RECORD.as_json(), "added_tomorrow": 1}) == RECORD


@pytest.mark.parametrize("lineage", [None, {}, {"spark.a": "1", "spark.secret": None}])
def test_properties_for_lineage_are_stored(lineage):
    record = replace(RECORD, lineage=lineage)
    stored = record.as_json()
    assert stored.get("lineage", {}) == lineage
    assert SubmissionRecord.from_json(json.loads(json.dumps(stored))) == record
    # No submit has been sent if nothing is stored, so nothing needs to be repeated.
    assert replace(record, uploads={}).has_fixed_body is (lineage is not None)


@pytest.mark.parametrize("value", [None, "", [], {}, {"token": "t"}, {**RECORD.as_json(), "time": "soon"}])
def test_unreadable_value_is_no_record(value):
    assert SubmissionRecord.from_json(value) is None


def test_token_expires_before_the_service_forgets_it():
    assert RECORD.has_live_token(5.0 + TOKEN_LIFETIME_SECONDS - 1)
    assert not RECORD.has_live_token(5.0 + TOKEN_LIFETIME_SECONDS)
    assert TOKEN_LIFETIME_SECONDS < 24 * 3600


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (LifecycleState.ACCEPTED, RunDecision.USE),
        (LifecycleState.IN_PROGRESS, RunDecision.USE),
        (LifecycleState.SUCCEEDED, RunDecision.ADOPT),
        (LifecycleState.CANCELING, RunDecision.REPLACE),
        (LifecycleState.CANCELED, RunDecision.REPLACE),
        (LifecycleState.FAILED, RunDecision.REPLACE),
        (LifecycleState.STOPPING, RunDecision.REPLACE),
        (LifecycleState.STOPPED, RunDecision.REPLACE),
        ("A_STATE_OF_TOMORROW", RunDecision.USE),
    ],
)
def test_decision_about_run_by_state(state, expected):
    assert decide(state, from_earlier_try=True) is expected
    assert decide(state, from_earlier_try=False) is RunDecision.USE


def test_succeeded_run_is_not_adopted_after_a_clear():
    decision = decide(LifecycleState.SUCCEEDED, from_earlier_try=True, first_try_after_clear=True)
    assert decision is RunDecision.REPLACE


def test_record_of_a_successor_keeps_the_runs_before():
    record = SubmissionRecord(token="t", generation=0, clear_epoch=1, try_number=1, time=5.0, run_id="1")
    followed = record.followed_by("2", "3")
    assert (followed.run_id, followed.run_ids) == ("3", ["1", "2", "3"])
    assert followed.followed_by("3") == followed
    assert SubmissionRecord.from_json(followed.as_json()) == followed
    cancelled = replace(record, is_cancelled=True)
    assert SubmissionRecord.from_json(cancelled.as_json()) == cancelled
    assert set(record.as_json()) == {"token", "generation", "max_tries", "try_number", "time", "run_id"}


@pytest.mark.parametrize(
    ("max_tries", "try_number", "clear_number", "expected"),
    [
        # No retries.
        (0, 1, 3, False),  # the same try
        (0, 2, 3, False),  # another try after the loss of a scheduler: nothing was cleared
        (0, 2, 4, True),  # cleared while it ran in a worker
        (0, 3, 4, True),  # the try after that clear was lost before it could submit
        (0, 1, 4, False),  # another task was cleared meanwhile; this try continues after a deferral
        (0, 2, None, False),  # Airflow does not tell
        (1, 2, 3, True),  # cleared while it did not run in a worker, which changes max_tries
    ],
)
def test_clear_in_worker_without_retries_is_recognized(max_tries, try_number, clear_number, expected):
    record = replace(RECORD, clear_epoch=0, try_number=1, clear_number=3)
    attempt = {"clear_epoch": max_tries, "try_number": try_number, "clear_number": clear_number}
    assert record.is_before_clear(**attempt) is expected
    # A record of an earlier version tells nothing about clears that leave max_tries unchanged.
    assert replace(record, clear_number=None).is_before_clear(**attempt) is (max_tries == 1)


@pytest.mark.parametrize(
    ("try_number", "recorded_try", "expected"),
    [
        (2, 1, False),  # looks like a retry, since one was left
        (3, 1, True),
        (3, 2, True),
        (3, 3, False),
    ],
)
def test_clear_in_worker_after_the_last_retry_is_recognized(try_number, recorded_try, expected):
    record = replace(RECORD, clear_epoch=1, try_number=recorded_try, clear_number=0)
    assert record.is_before_clear(clear_epoch=1, try_number=try_number, clear_number=1) is expected


@pytest.mark.parametrize("number", [None, 0, 2])
def test_record_keeps_the_number_of_clears(number):
    record = replace(RECORD, clear_number=number)
    assert SubmissionRecord.from_json(record.as_json()) == record
    assert ("clear_number" in record.as_json()) is (number is not None)
