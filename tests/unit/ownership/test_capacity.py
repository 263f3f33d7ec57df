from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import ServiceError, SubmitRejected
from airflow_provider_dataflow.ownership.capacity import seconds_until_next_submit
from airflow_provider_dataflow.polling import MIN_JITTER


def pause(error, waited, *, failing=None, submit_timeout=1000.0, error_budget=100.0):
    return seconds_until_next_submit(
        error,
        waited,
        failing=waited if failing is None else failing,
        submit_timeout=submit_timeout,
        error_budget=error_budget,
        pause_bounds=(30.0, 600.0),
    )


def refused(code, status=400) -> SubmitRejected:
    return SubmitRejected(operation="CreateRun", message="no", status=status, code=code)


def service_error(status, **fields) -> ServiceError:
    return ServiceError(operation="CreateRun", message="no", status=status, **fields)


@pytest.mark.parametrize("code", ["LimitExceeded", "QuotaExceeded"])
def test_capacity_wait_ends_at_the_submit_timeout(code):
    assert MIN_JITTER * 30 <= pause(refused(code), 0) <= 30
    assert pause(refused(code), 990) == 10
    assert pause(refused(code), 1000) is None


def test_pause_grows_with_the_time_waited():
    assert pause(refused("LimitExceeded"), 200) > 2 * pause(refused("LimitExceeded"), 0)
    assert pause(refused("LimitExceeded"), 1e5, submit_timeout=1e6) < 1.2 * 600


@pytest.mark.parametrize("error", [service_error(None), service_error(429), service_error(503)])
def test_outage_is_retried_within_the_error_budget(error):
    assert pause(error, 0) is not None
    assert pause(error, 100) is None


def test_error_budget_counts_from_the_first_error_and_not_from_the_start():
    assert pause(service_error(503), 900, failing=0) is not None
    assert pause(service_error(503), 900, failing=100) is None
    assert pause(service_error(503), 990, failing=0) == 10
    assert pause(service_error(503), 1000, failing=0) is None


def test_retry_after_is_honoured():
    assert pause(service_error(429, retry_after=80), 0) == 80


@pytest.mark.parametrize(
    "error", [refused("InvalidParameter"), refused("NotAuthorizedOrNotFound", 404), service_error(501)]
)
def test_refusal_is_not_retried(error):
    assert pause(error, 0) is None
