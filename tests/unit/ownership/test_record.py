from __future__ import annotations

import itertools

import pytest

from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.ownership.record import (
    TOKEN_LIFETIME,
    Submission,
    TaskIdentity,
    Verdict,
    retry_token,
    verdict,
)

IDENTITY = TaskIdentity("dag", "manual__1", "task")


def test_a_token_is_the_same_for_the_same_submit_and_fits():
    token = retry_token(IDENTITY, max_tries=2, generation=0)
    assert token == retry_token(IDENTITY, max_tries=2, generation=0)
    assert 1 <= len(token) <= 64


def test_every_other_submit_has_another_token():
    identities = [
        TaskIdentity(*parts)
        for parts in itertools.product(("a", "ab"), ("c", "bc"), ("d",), (-1, 0, 1))  # "a" + "bc", "ab" + "c"
    ]
    tokens = [
        retry_token(identity, max_tries=max_tries, generation=generation, incarnation=incarnation)
        for identity in identities
        for max_tries, generation, incarnation in itertools.product((0, 1), (0, 1), ("", "2026-01-01"))
    ]
    assert len(set(tokens)) == len(tokens)


RECORD = Submission(
    token="t", generation=1, max_tries=2, try_number=1, time=5.0, run_id="ocid1.dataflowrun.x"
)


def test_a_record_survives_the_store():
    assert Submission.from_json(RECORD.as_json()) == RECORD
    before_the_answer = Submission(token="t", generation=0, max_tries=0, try_number=1, time=5.0)
    assert Submission.from_json(before_the_answer.as_json()) == before_the_answer


def test_a_newer_version_may_record_more():
    assert Submission.from_json({**RECORD.as_json(), "added_tomorrow": 1}) == RECORD


@pytest.mark.parametrize("value", [None, "", [], {}, {"token": "t"}, {**RECORD.as_json(), "time": "soon"}])
def test_what_cannot_be_read_is_no_record(value):
    assert Submission.from_json(value) is None


def test_a_clear_begins_another_turn():
    assert RECORD.is_of_this_turn(2)
    assert not RECORD.is_of_this_turn(3)


def test_the_service_forgets_a_token_after_a_day():
    assert RECORD.has_live_token(5.0 + TOKEN_LIFETIME - 1)
    assert not RECORD.has_live_token(5.0 + TOKEN_LIFETIME)
    assert TOKEN_LIFETIME < 24 * 3600


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (LifecycleState.ACCEPTED, Verdict.OWN),
        (LifecycleState.IN_PROGRESS, Verdict.OWN),
        (LifecycleState.SUCCEEDED, Verdict.ADOPT),
        (LifecycleState.CANCELING, Verdict.REPLACE),
        (LifecycleState.CANCELED, Verdict.REPLACE),
        (LifecycleState.FAILED, Verdict.REPLACE),
        (LifecycleState.STOPPING, Verdict.REPLACE),
        (LifecycleState.STOPPED, Verdict.REPLACE),
        ("A_STATE_OF_TOMORROW", Verdict.OWN),
    ],
)
def test_what_becomes_of_a_run(state, expected):
    assert verdict(state, of_earlier_try=True) is expected
    assert verdict(state, of_earlier_try=False) is Verdict.OWN


def test_every_state_has_a_verdict():
    assert {verdict(state, of_earlier_try=True) for state in LifecycleState} == set(Verdict)
