from __future__ import annotations

import pytest

from airflow_provider_dataflow.client import cancel as cancelling
from airflow_provider_dataflow.client.cancel import cancel
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import Run
from tests.unit.support import RUN_ID, run_body


def error(status=None) -> ServiceError:
    return ServiceError(operation="DeleteRun", message="no", status=status)


class Service:
    """Answers each cancel, and each look after it, with the next of what it is given; then with the last."""

    def __init__(self, cancels=(None,), states=("CANCELING",)):
        self.cancels, self.states = list(cancels), list(states)
        self.asked = 0

    def cancel_run(self, run_id):
        self.asked += 1
        answer = self.cancels.pop(0) if len(self.cancels) > 1 else self.cancels[0]
        if answer is not None:
            raise answer

    def get_run(self, run_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return Run.from_api(run_body(state))


@pytest.fixture(autouse=True)
def no_naps(mocker):
    now = 0.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    mocker.patch.object(cancelling, "time", mocker.Mock(monotonic=lambda: now, sleep=sleep))


@pytest.mark.parametrize("state", ["CANCELING", "CANCELED", "SUCCEEDED", "STOPPING", "STOPPED", "FAILED"])
def test_it_is_done_when_the_run_is_ending(state):
    service = Service(states=[state])
    assert cancel(service, RUN_ID).state == state
    assert service.asked == 1


@pytest.mark.parametrize("status", [None, 401, 403, 404, 409, 429, 500])
def test_errors_are_borne(status):
    service = Service(cancels=[error(status), error(status), None])
    assert cancel(service, RUN_ID).state == "CANCELING"
    assert service.asked == 3


def test_a_cancel_that_had_no_effect_is_repeated():
    service = Service(states=["IN_PROGRESS", error(503), "CANCELED"])
    assert cancel(service, RUN_ID).state == "CANCELED"
    assert service.asked == 3


def test_it_gives_up_with_the_last_error():
    service = Service(cancels=[error(500), error(503)])
    with pytest.raises(ServiceError) as caught:
        cancel(service, RUN_ID, timeout=25)
    assert caught.value.status == 503
    assert 5 <= service.asked <= 10


def test_it_says_when_the_run_simply_goes_on():
    with pytest.raises(ServiceError, match="still IN_PROGRESS after its cancel"):
        cancel(Service(states=["IN_PROGRESS"]), RUN_ID, timeout=5)
