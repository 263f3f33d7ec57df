from __future__ import annotations

import json
import pickle
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.causes import RETRIES, Retry
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    InvalidArgument,
    NotSubmitted,
    RunFailed,
    ServiceError,
    SubmitRejected,
)
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.polling import MIN_JITTER
from airflow_provider_dataflow.retries import policy as policy_module
from airflow_provider_dataflow.retries.policy import DataFlowRetryPolicy
from tests.unit.support import APPLICATION_ID

pytestmark = pytest.mark.skipif(compat.retry_policies() is None, reason="needs retry policies (Airflow 3.3)")


def decision(error: BaseException, policy: DataFlowRetryPolicy | None = None, try_number: int = 1):
    return (policy or DataFlowRetryPolicy()).evaluate(error, try_number, 5, None)


def failed(cause: str | None) -> RunFailed:
    return RunFailed(run_id="run", cause=cause)


@pytest.mark.parametrize("cause", sorted(RETRIES))
def test_every_cause_gets_its_decision(cause):
    made = decision(failed(cause))
    action, delay = {
        Retry.NEVER: ("fail", None),
        Retry.LATER: ("retry", 60),
        Retry.NOW: ("retry", 0),
        Retry.DEFAULT: ("default", None),
    }[RETRIES[cause]]
    assert made.action.value == action
    assert (made.reason or "").startswith("" if action == "default" else cause)
    if delay is None:
        assert made.retry_delay is None
    else:
        assert MIN_JITTER * delay <= made.retry_delay.total_seconds() <= delay


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), KeyboardInterrupt(), failed(None), failed("of a newer version"), DataFlowError()],
)
def test_unknown_cause_is_left_to_airflow(error):
    assert decision(error).action.value == "default"


def test_error_behind_another_exception_decides():
    error = RuntimeError("the job did not start")
    error.__cause__ = SubmitRejected(operation="CreateRun", message="no", status=400)
    assert decision(error).action.value == "fail"
    error.__cause__ = error
    assert decision(error).action.value == "default"


def test_pauses_grow_to_a_limit_and_start_again_after_a_clear():
    policy = DataFlowRetryPolicy(first_delay=10, max_delay=timedelta(minutes=2))

    def pause(try_number, max_tries=5):
        context = {"ti": SimpleNamespace(task=SimpleNamespace(retries=5))}
        error = NotSubmitted("no", cause="throttled")
        return policy.evaluate(error, try_number, max_tries, context).retry_delay.total_seconds()

    for number, longest in enumerate((10, 20, 40, 80, 120, 120), start=1):
        assert MIN_JITTER * longest <= pause(number) <= longest
    # Six tries, then a clear.
    assert pause(7, max_tries=11) <= 10
    assert MIN_JITTER * 20 <= pause(8, max_tries=11) <= 20
    assert decision(failed("throttled"), policy, try_number=5000).retry_delay.total_seconds() <= 120


def test_retry_after_of_the_service_is_kept():
    error = ServiceError(operation="CreateRun", message="", status=429, retry_after=5000)
    assert decision(error).retry_delay == timedelta(seconds=5000)


def test_run_with_other_settings_is_retried_at_once():
    error = failed("executor_memory")
    error.next_run_differs = True
    made = decision(error)
    assert (made.action.value, made.retry_delay) == ("retry", timedelta(0))
    assert "other settings" in made.reason


def test_run_of_an_earlier_try_keeps_the_retries():
    error = failed("module_missing")
    error.earlier_run_may_exist = True
    assert decision(error).action.value == "default"


def test_overrides_replace_the_table():
    policy = DataFlowRetryPolicy(overrides={"object_missing": "later", "no_capacity": "NEVER"})
    assert decision(failed("object_missing"), policy).action.value == "retry"
    assert decision(failed("no_capacity"), policy).action.value == "fail"
    assert decision(failed("bucket_missing"), policy).action.value == "fail"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"overrides": {"object_mising": "later"}}, "overrides.object_mising"),
        ({"overrides": {"object_missing": "soon"}}, "overrides.object_missing"),
        ({"overrides": ["object_missing"]}, "overrides"),
        ({"first_delay": 0}, "first_delay"),
        ({"max_delay": "long"}, "max_delay"),
    ],
)
def test_unusable_argument_is_refused_by_name(arguments, path):
    with pytest.raises(InvalidArgument) as refused:
        DataFlowRetryPolicy(**arguments)
    assert refused.value.path == path


def test_policy_survives_storage():
    policy = DataFlowRetryPolicy(overrides={"object_missing": "later"}, first_delay=5, max_delay=50)
    for copied in (
        DataFlowRetryPolicy.deserialize(json.loads(json.dumps(policy.serialize()))),
        pickle.loads(pickle.dumps(policy)),
    ):
        assert vars(copied) == vars(policy)


def test_dag_with_the_policy_can_be_serialized():
    from airflow.serialization.serialized_objects import DagSerialization

    arguments = {"retries": 5, "retry_policy": DataFlowRetryPolicy()}
    with DAG("dag", schedule=None, default_args=arguments) as dag:
        InvokeRunOperator(task_id="one", application_id=APPLICATION_ID)
        InvokeRunOperator.partial(task_id="many").expand(application_id=[APPLICATION_ID])
    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert all(task.has_retry_policy for task in stored.tasks)


def test_policy_names_the_alternative_before_airflow_3_3(monkeypatch):
    monkeypatch.setattr(policy_module, "_airflow", None)
    with pytest.raises(InvalidArgument, match=r"needs Airflow 3\.3.*retry_permanent_errors=False"):
        DataFlowRetryPolicy()
