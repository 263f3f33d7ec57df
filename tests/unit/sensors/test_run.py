from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_provider_dataflow.exceptions import (
    InvalidArgument,
    RunCanceled,
    RunFailed,
    RunLost,
    RunStopped,
    ServiceError,
)
from airflow_provider_dataflow.models.run import TERMINAL_STATES
from airflow_provider_dataflow.sensors.run import RunSensor
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from tests.unit.support import COMPARTMENT_ID, RUN_ID, FakeTaskInstance


@pytest.fixture
def context():
    return {"ti": FakeTaskInstance()}


def sensor(**kwargs) -> RunSensor:
    return RunSensor(task_id="wait", **{"run_id": RUN_ID, "poke_interval": 0.001} | kwargs)


def test_sensor_waits_for_success(client, context):
    client.states = ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]
    assert sensor().execute(context) == "SUCCEEDED"


@pytest.mark.parametrize(
    ("state", "error"), [("FAILED", RunFailed), ("CANCELED", RunCanceled), ("STOPPED", RunStopped)]
)
@pytest.mark.parametrize("deferrable", [True, False])
def test_other_terminal_state_fails_sensor_at_once(client, context, state, error, deferrable):
    client.states = [state]
    with pytest.raises(error):
        sensor(deferrable=deferrable).execute(context)
    with pytest.raises(AirflowSkipException):
        sensor(deferrable=deferrable, soft_fail=True).execute(context)
    assert sensor(deferrable=deferrable, target_states=TERMINAL_STATES).execute(context) == state


def test_sensor_can_wait_for_start(client, context):
    client.states = ["ACCEPTED", "IN_PROGRESS"]
    assert sensor(target_states=["IN_PROGRESS"]).execute(context) == "IN_PROGRESS"
    client.states = ["SUCCEEDED"]
    assert sensor(target_states=["IN_PROGRESS"]).execute(context) == "SUCCEEDED"


@pytest.mark.parametrize("kwargs", [{"target_states": ["DONE"]}, {"run_id": ""}, {"run_id": None}])
def test_invalid_arguments_are_refused(client, context, kwargs):
    with pytest.raises(InvalidArgument):
        sensor(**kwargs).execute(context)


def test_outage_is_tolerated_within_error_budget(client, context):
    down = ServiceError(operation="GetRun", message="down", status=503)
    client.states = [down, "SUCCEEDED"]
    assert sensor().execute(context) == "SUCCEEDED"
    client.states = [down]
    with pytest.raises(RunLost, match="down"):
        sensor(error_budget=0.001).execute(context)


def test_deferral_has_timeout_and_never_cancels(client, context):
    client.states = ["IN_PROGRESS"]
    with pytest.raises(TaskDeferred) as caught:
        sensor(deferrable=True, poke_interval=7, timeout=100).execute(context)
    trigger = caught.value.trigger
    assert (trigger.run_id, trigger.poll_interval, trigger.cancel_on_kill) == (RUN_ID, 7, False)
    # So that the poller lists it with others.
    assert trigger.compartment_id == COMPARTMENT_ID
    assert caught.value.timeout.total_seconds() > 100


def complete(context, outcome, state=None, **kwargs):
    event = RunEvent(outcome, RUN_ID, state).payload()
    return sensor(deferrable=True, **kwargs).resume_execution("execute_complete", {"event": event}, context)


def test_events_of_the_trigger_become_result_or_error(client, context):
    assert complete(context, Outcome.REACHED, "SUCCEEDED") == "SUCCEEDED"
    for outcome, error in ((Outcome.TIMEOUT, AirflowSensorTimeout), (Outcome.LOST, RunLost)):
        with pytest.raises(error):
            complete(context, outcome)
        with pytest.raises(AirflowSkipException):
            complete(context, outcome, soft_fail=True)
    down = ServiceError(operation="GetRun", message="down", status=503)
    client.states = [down, down, "FAILED"]
    with pytest.raises(RunFailed):
        complete(context, Outcome.REACHED, "FAILED")
    assert client.cancelled == []


def test_unreadable_logs_do_not_fail_a_sensor_whose_run_reached_its_target(client, context, caplog):
    client.states = [ServiceError(operation="GetRun", message="down", status=503)]
    assert complete(context, Outcome.REACHED, "SUCCEEDED", fetch_logs="always") == "SUCCEEDED"


def test_error_budget_counts_in_reschedule_mode(client, context):
    """Each poke of this mode is a new process."""
    down = ServiceError(operation="GetRun", message="down", status=503)
    client.states = [down, down, "SUCCEEDED"]
    assert sensor(mode="reschedule").poke(context)
    client.states = [down]
    with pytest.raises(RunLost, match="down"):
        sensor(mode="reschedule", error_budget=0.001).poke(context)


def test_target_state_seen_by_trigger_counts_although_run_continued(client, context):
    client.states = ["CANCELING"]
    assert complete(context, Outcome.REACHED, "IN_PROGRESS", target_states=["IN_PROGRESS"]) == "IN_PROGRESS"


def test_target_states_accept_rendered_text(client, context):
    client.states = ["FAILED"]
    assert sensor(target_states="SUCCEEDED, FAILED").execute(context) == "FAILED"


@pytest.mark.parametrize("timeout", ["{{ none }}", "soon"])
def test_timeout_that_renders_to_none_is_airflows_default_after_deferral(client, context, timeout):
    task = sensor(deferrable=True, timeout="{{ x }}", fetch_logs="never")
    task.timeout = None if "none" in timeout else timeout
    event = RunEvent(Outcome.TIMEOUT, RUN_ID).payload()
    with pytest.raises(AirflowSensorTimeout, match="604800"):
        task.resume_execution("execute_complete", {"event": event}, context)
