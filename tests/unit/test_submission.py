from __future__ import annotations

import itertools

from airflow_provider_dataflow.submission import TaskIdentity, retry_token

IDENTITY = TaskIdentity("dag", "manual__1", "task", -1)


def test_the_same_submit_has_the_same_token():
    assert retry_token(IDENTITY, max_tries=1, submission=1) == retry_token(
        TaskIdentity("dag", "manual__1", "task"), max_tries=1, submission=1
    )


def test_every_other_submit_has_another():
    tokens = {
        retry_token(TaskIdentity(dag, run, task, index), max_tries=tries, submission=number)
        for dag, run, task, index, tries, number in itertools.product(
            ("a", "a1"), ("r", "1r"), ("t", "1"), (-1, 0, 1), (0, 1), (1, 2)
        )
    }
    assert len(tokens) == 2 * 2 * 2 * 3 * 2 * 2


def test_the_token_is_as_long_as_the_service_takes():
    assert len(retry_token(IDENTITY, max_tries=0, submission=1)) <= 64
