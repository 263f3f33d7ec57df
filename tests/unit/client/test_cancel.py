from __future__ import annotations

import pytest

from airflow_provider_dataflow.client import cancel
from airflow_provider_dataflow.client.cancel import cancel_run
from airflow_provider_dataflow.exceptions import InvalidConnection, ServiceError
from airflow_provider_dataflow.models.run import Run
from tests.unit.support import RUN_ID, run_body


def error(status=None) -> ServiceError:
    return ServiceError(operation="DeleteRun", message="no", status=status)


class Service:
    """Answers each cancel and each GetRun with the next given response, then with the last one."""

    def __init__(self, cancels=(None,), states=("CANCELING",)):
        self.cancels, self.states = list(cancels), list(states)
        self.cancel_requests = 0

    def cancel_run(self, run_id):
        self.cancel_requests += 1
        answer = self.cancels.pop(0) if len(self.cancels) > 1 else self.cancels[0]
        if answer is not None:
            raise answer

    def get_run(self, run_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return Run.from_api(run_body(state))


@pytest.fixture(autouse=True)
def clock(mocker):
    now = 0.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    mocker.patch.object(cancel, "time", mocker.Mock(monotonic=lambda: now, sleep=sleep))


def cancelled_by(service, **kwargs):
    return cancel_run(lambda: service, RUN_ID, **kwargs)


@pytest.mark.parametrize("state", ["CANCELING", "CANCELED", "SUCCEEDED", "STOPPING", "STOPPED", "FAILED"])
def test_cancel_is_confirmed_when_the_run_is_ending(state):
    service = Service(states=[state])
    result = cancelled_by(service)
    assert result.confirmed
    assert result.confirmed_run().state == state
    assert str(result) == f"Run {RUN_ID}: cancel requested, it is {state}"
    assert service.cancel_requests == 1


@pytest.mark.parametrize("status", [None, 401, 403, 404, 409, 429, 500])
def test_cancel_is_repeated_after_errors(status):
    service = Service(cancels=[error(status), error(status), None])
    assert cancelled_by(service).confirmed_run().state == "CANCELING"
    assert service.cancel_requests == 3


def test_cancel_without_effect_is_repeated():
    service = Service(states=["IN_PROGRESS", error(503), "CANCELED"])
    assert cancelled_by(service).confirmed_run().state == "CANCELED"
    assert service.cancel_requests == 3


def test_unconfirmed_cancel_reports_the_last_error():
    service = Service(cancels=[error(500), error(503)])
    result = cancelled_by(service, timeout=25)
    assert not result.confirmed
    assert result.error.status == 503
    assert str(result).startswith(f"Run {RUN_ID}: could not be cancelled and may still be running: ")
    assert 5 <= service.cancel_requests <= 10
    with pytest.raises(ServiceError):
        result.confirmed_run()


def test_unconfirmed_cancel_reports_a_run_that_continues():
    result = cancelled_by(Service(states=["IN_PROGRESS"]), timeout=5)
    assert "still IN_PROGRESS after its cancel" in str(result)


def test_bad_connection_is_reported_not_raised():
    def connect():
        raise InvalidConnection("connection 'oci_default': region: missing")

    result = cancel_run(connect, RUN_ID)
    assert isinstance(result.error, InvalidConnection)
    assert "region" in str(result)
