from __future__ import annotations

import inspect
import re
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskDeferred

from airflow_provider_dataflow.arguments.run_arguments import ATTRIBUTES
from airflow_provider_dataflow.compat import AirflowTaskTimeout
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    InvalidArgument,
    InvalidConnection,
    RunCanceled,
    RunFailed,
    RunLost,
    RunStopped,
    RunTimedOut,
    ServiceError,
    SubmitRejected,
)
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership import task_state
from airflow_provider_dataflow.ownership.task_state import TaskState
from airflow_provider_dataflow.polling import DEFAULT_NO_EVENT_BEFORE
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.run import RunTrigger
from tests.unit.support import APPLICATION_ID, COMPARTMENT_ID, RUN_ID, FakeTaskInstance


@pytest.fixture
def ti() -> FakeTaskInstance:
    return FakeTaskInstance()


def operator(**kwargs) -> InvokeRunOperator:
    return InvokeRunOperator(
        task_id="task",
        **{"application_id": APPLICATION_ID, "poll_interval": 0.001, "cancel_timeout": 0.1} | kwargs,
    )


def test_signature_docstring_and_request_name_the_same_arguments():
    names = RunRequest.argument_names()
    signature = list(inspect.signature(InvokeRunOperator.__init__).parameters)
    documented = re.findall(r":param (\w+):", InvokeRunOperator.__doc__ or "")
    assert tuple(signature[1 : len(names) + 1]) == names
    assert documented == [name for name in signature if name not in ("self", "kwargs")]
    assert set(ATTRIBUTES.values()) <= set(InvokeRunOperator.template_fields)
    assert set(InvokeRunOperator.template_fields_renderers) <= set(InvokeRunOperator.template_fields)


def test_execute_submits_waits_and_returns_run_id(client, ti):
    client.states = ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]
    task = operator(num_executors="2", arguments=["--day", 1], display_name="nightly")
    assert task.execute({"ti": ti}) == RUN_ID
    assert ti.xcoms["run_id"] == RUN_ID
    assert ti.xcoms["run_page_url"].endswith(RUN_ID)
    ((body, token),) = client.submitted
    assert body == {
        "applicationId": APPLICATION_ID,
        "compartmentId": COMPARTMENT_ID,
        "numExecutors": 2,
        "arguments": ["--day", "1"],
        "displayName": "nightly",
        "freeformTags": {
            "airflow_dag_id": "dag",
            "airflow_run_id": "manual__1",
            "airflow_task_id": "task",
            "airflow_try_number": "1",
            "airflow_submission": token,
        },
    }
    assert 1 <= len(token) <= 64


def test_argument_execute_does_not_hide_the_method(client, ti):
    task = operator(application_id=None, execute="oci://b@n/app.py {{ ds }}")
    assert task.execute_string == "oci://b@n/app.py {{ ds }}"
    task.execute({"ti": ti})
    assert client.submitted[0][0]["execute"] == "oci://b@n/app.py {{ ds }}"


def test_run_id_is_pushed_before_anything_can_fail(client, ti, mocker):
    mocker.patch.object(DataFlowHook, "run_page_url", side_effect=RuntimeError)
    with pytest.raises(RuntimeError):
        operator().execute({"ti": ti})
    assert ti.xcoms["run_id"] == RUN_ID


@pytest.mark.parametrize(
    ("state", "error"), [("FAILED", RunFailed), ("CANCELED", RunCanceled), ("STOPPED", RunStopped)]
)
def test_unsuccessful_run_fails_the_task(client, ti, state, error):
    client.states = ["IN_PROGRESS", state]
    client.stderr = "Traceback\nValueError: no such month\n"
    with pytest.raises(error) as caught:
        operator().execute({"ti": ti})
    assert (caught.value.run_id, caught.value.state) == (RUN_ID, state)
    assert "ValueError: no such month" in str(caught.value)
    assert str(caught.value).count(RUN_ID) >= 2, "as id and in the link"


def test_unreadable_log_does_not_change_the_outcome(client, ti, mocker):
    mocker.patch.object(
        client, "list_run_logs", side_effect=ServiceError(operation="ListRunLogs", message="x")
    )
    assert operator().execute({"ti": ti}) == RUN_ID
    client.states = ["FAILED"]
    with pytest.raises(RunFailed, match="exit code 1"):
        operator().execute({"ti": ti})


@pytest.mark.parametrize(
    ("fetch_logs", "state", "copied"),
    [
        ("always", "SUCCEEDED", True),
        ("on_failure", "SUCCEEDED", False),
        ("on_failure", "FAILED", True),
        ("never", "FAILED", False),
    ],
)
def test_driver_output_is_copied_as_fetch_logs_says(client, ti, mocker, fetch_logs, state, copied):
    client.states, client.stdout = [state], "42 rows\n"
    task = operator(fetch_logs=fetch_logs)
    lines = []
    mocker.patch.object(task.log, "info", side_effect=lambda text, *args: lines.append(text % args))
    if state == "FAILED":
        with pytest.raises(RunFailed):
            task.execute({"ti": ti})
    else:
        task.execute({"ti": ti})
    assert ("42 rows" in lines) is copied


def test_task_without_wait_does_not_poll(client, ti):
    client.states = [AssertionError("asked")]
    assert operator(wait_for_completion=False).execute({"ti": ti}) == RUN_ID


def test_airflow_tags_can_be_disabled_and_keep_the_authors_tags(client, ti):
    operator(airflow_tags=False).execute({"ti": ti})
    operator(freeform_tags={"airflow_dag_id": "mine"}).execute({"ti": ti})
    assert "freeformTags" not in client.submitted[0][0]
    assert client.submitted[1][0]["freeformTags"]["airflow_dag_id"] == "mine"


def test_existing_run_is_waited_for_without_submit(client, ti):
    task = InvokeRunOperator(task_id="task", run_id=RUN_ID, poll_interval=0.001)
    assert task.execute({"ti": ti}) == RUN_ID
    assert client.submitted == []
    assert ti.xcoms["lifecycle_state"] == "SUCCEEDED"


def test_request_is_logged_once_without_secrets(client, ti, mocker):
    task = operator(configuration={"spark.password": "s3cret"}, arguments=["--month", "3"])
    entries = []
    mocker.patch.object(task.log, "info", side_effect=lambda text, *args: entries.append(text % args))
    task.execute({"ti": ti})
    (asked,) = [entry for entry in entries if "CreateRun" in entry]
    assert APPLICATION_ID in asked
    assert "--month" in asked
    assert "s3cret" not in "".join(entries)


def test_dry_run_logs_request_and_sends_nothing(client, mocker):
    task = operator(configuration={"spark.password": "s3cret"}, num_executors="2")
    info = mocker.patch.object(task.log, "info")
    task.dry_run()
    (shown,) = [call.args[1] for call in info.call_args_list]
    assert '"numExecutors": 2' in shown
    assert COMPARTMENT_ID in shown
    assert "s3cret" not in shown
    assert client.submitted == []


def test_usage_is_logged_and_pushed(client, ti, mocker):
    task = operator()
    entries = []
    mocker.patch.object(task.log, "info", side_effect=lambda text, *args: entries.append(text % args))
    task.execute({"ti": ti})
    assert ti.xcoms["lifecycle_state"] == "SUCCEEDED"
    assert ti.xcoms["usage"]["run_seconds"] == 90
    assert f"Run {RUN_ID}: ran 1m 30s" in entries


def test_streaming_run_is_waited_for_until_in_progress(client, ti):
    client.states = ["ACCEPTED", "IN_PROGRESS", AssertionError("asked again")]
    task = operator(type="STREAMING", target_states=["IN_PROGRESS"], fetch_logs="never")
    assert task.execute({"ti": ti}) == RUN_ID
    client.states = ["FAILED"]
    with pytest.raises(RunFailed):
        task.execute({"ti": ti})


def test_stopped_session_can_be_a_success(client, ti):
    client.states = ["IN_PROGRESS", "STOPPED"]
    assert operator(target_states=["SUCCEEDED", "STOPPED"]).execute({"ti": ti}) == RUN_ID


@pytest.mark.parametrize("states", [[], ["DONE"], "DONE"])
def test_unknown_states_are_refused_at_parse(states):
    with pytest.raises(InvalidArgument, match="target_states"):
        operator(target_states=states)


@pytest.mark.parametrize("also", [{"application_id": APPLICATION_ID}, {"json": {"displayName": "x"}}])
def test_existing_run_allows_no_request_arguments(client, ti, also):
    with pytest.raises(InvalidArgument, match="run_id: names an existing run"):
        InvokeRunOperator(task_id="task", run_id=RUN_ID, **also).execute({"ti": ti})


def test_timeout_of_task_limits_duration_of_run(client, ti):
    operator(execution_timeout=timedelta(hours=1)).execute({"ti": ti})
    operator(completion_timeout=60, max_duration_in_minutes=7).execute({"ti": ti})
    assert [body["maxDurationInMinutes"] for body, _ in client.submitted] == [65, 7]


@pytest.mark.parametrize("name", ["submit_timeout", "completion_timeout", "cancel_timeout"])
@pytest.mark.parametrize("value", [0, -1, True, "soon", float("inf")])
def test_invalid_timeouts_are_refused(name, value):
    with pytest.raises(InvalidArgument, match=name):
        operator(**{name: value})


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [
        ({"application_id": "nightly"}, "application_id: expected an OCID"),
        ({"application_id": None}, "application_id: expected application_id or execute"),
        ({"num_executors": "many"}, "num_executors: expected a "),
        ({"spark_version": "3.5.0"}, "spark_version: allowed only together with execute"),
        ({"execute": "spark-submit oci://b@n/a.py"}, "execute: starts with spark-submit"),
    ],
)
def test_invalid_arguments_are_refused_at_parse_or_before_submit(client, ti, kwargs, problem):
    with pytest.raises(InvalidArgument, match=problem):
        operator(**kwargs)
    templated = dict.fromkeys(kwargs, "{{ var.value.x }}")
    task = operator(**templated)
    for name, value in kwargs.items():
        setattr(task, ATTRIBUTES.get(name, name), value)
    with pytest.raises(InvalidArgument, match=problem):
        task.execute({"ti": ti})
    assert client.submitted == []


def test_execute_with_application_warns_and_is_submitted(client, ti, mocker):
    task = operator(execute="oci://b@n/a.py", parameters={"day": "1"}, private_endpoint_guard=True)
    warn = mocker.patch.object(task.log, "warning")
    task.execute({"ti": ti})
    [(body, _)] = client.submitted
    assert body["execute"] == "oci://b@n/a.py"
    assert "applicationId, parameters" in str(warn.call_args_list)


def test_invalid_fetch_logs_is_refused_at_parse():
    with pytest.raises(InvalidArgument, match="fetch_logs"):
        operator(fetch_logs="sometimes")


def test_missing_compartment_is_refused(client, connection, ti):
    connection(compartment_id=None)
    with pytest.raises(InvalidArgument, match="compartment_id"):
        operator().execute({"ti": ti})


def test_invalid_connection_is_refused_by_field(connection, ti):
    connection(fingerprint=None)
    with pytest.raises(InvalidConnection, match="connection 'oci_default': fingerprint: missing"):
        operator().execute({"ti": ti})


def test_kill_after_rejected_submit_cancels_nothing(client, ti, mocker):
    rejected = SubmitRejected(operation="CreateRun", message="no", status=404, code="NotAuthorizedOrNotFound")
    mocker.patch.object(client, "create_run", side_effect=rejected)
    task = operator()
    with pytest.raises(SubmitRejected):
        task.execute({"ti": ti})
    task.on_kill()
    assert client.cancelled == []


# --- Deferred ------------------------------------------------------------------------------------------


def deferred(ti, **kwargs) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        operator(deferrable=True, **kwargs).execute({"ti": ti})
    return caught.value


def test_deferral_row_holds_ids_only(client, ti, key_fields):
    deferral = deferred(ti, poll_interval=7)
    trigger = deferral.trigger
    assert isinstance(trigger, RunTrigger)
    assert (trigger.run_id, trigger.poll_interval, trigger.cancel_on_kill) == (RUN_ID, 7, True)
    assert deferral.method_name == "execute_complete"
    assert deferral.timeout is None
    row = repr(trigger.serialize())
    assert "PRIVATE KEY" not in row
    assert key_fields["fingerprint"] not in row


def test_execution_timeout_applies_while_deferred(client, ti):
    deferral = deferred(ti, execution_timeout=timedelta(minutes=10))
    assert deferral.trigger.deadline == pytest.approx(ti.start_date.timestamp() + 600)
    assert deferral.timeout > timedelta(minutes=10)


def resume(ti, outcome, state=None, task=None, **kwargs):
    task = task or operator(deferrable=True, **kwargs)
    event = RunEvent(outcome, RUN_ID, state, "why").payload()
    return task.resume_execution("execute_complete", {"event": event}, {"ti": ti})


def test_new_operator_resumes_after_deferral(client, ti):
    assert resume(ti, Outcome.REACHED, "SUCCEEDED") == RUN_ID


def test_failed_run_fails_task_after_deferral(client, ti):
    client.states = ["FAILED"]
    with pytest.raises(RunFailed, match="exit code 1"):
        resume(ti, Outcome.REACHED, "FAILED")


@pytest.mark.parametrize(("outcome", "error"), [(Outcome.TIMEOUT, RunTimedOut), (Outcome.LOST, RunLost)])
def test_giving_up_cancels_run_and_reports_it(client, ti, outcome, error):
    with pytest.raises(error, match="cancel requested"):
        resume(ti, outcome)
    assert client.cancelled == [RUN_ID]


def test_giving_up_keeps_run_without_cancel_on_kill(client, ti):
    with pytest.raises(RunTimedOut):
        resume(ti, Outcome.TIMEOUT, cancel_on_kill=False)
    assert client.cancelled == []


def test_run_unreadable_in_worker_is_cancelled_and_lost(client, ti):
    client.states = [ServiceError(operation="GetRun", message="down", status=503)]
    with pytest.raises(RunLost, match=r"down\. .*cancel requested, it is") as caught:
        operator(error_budget=0.001).execute({"ti": ti})
    assert caught.value.url
    assert client.cancelled == [RUN_ID]


def test_failed_cancel_is_reported_with_the_original_error(client, ti):
    client.cancel_error = ServiceError(operation="DeleteRun", message="down", status=503)
    with pytest.raises(RunTimedOut, match="may still be running"):
        resume(ti, Outcome.TIMEOUT)


def trigger_failed(ti, reason, **kwargs):
    ti.xcoms["run_id"] = RUN_ID
    task = operator(deferrable=True, **kwargs)
    return task.resume_execution("__fail__", {"error": reason}, {"ti": ti})


def test_run_is_cancelled_when_trigger_sends_no_event(client, ti):
    with pytest.raises(RunTimedOut, match="cancel requested"):
        trigger_failed(ti, "Trigger timeout")
    assert client.cancelled == [RUN_ID]


def test_crashed_trigger_is_replaced_three_times(client, ti):
    for _ in range(3):
        with pytest.raises(TaskDeferred) as caught:
            trigger_failed(ti, "Trigger failure", completion_timeout=60)
        assert caught.value.trigger.run_id == RUN_ID
        assert caught.value.trigger.deadline == pytest.approx(ti.start_date.timestamp() + 60)
    assert client.cancelled == []
    with pytest.raises(RunLost, match="has failed 4 times"):
        trigger_failed(ti, "Trigger failure")
    assert client.cancelled == [RUN_ID]


@pytest.fixture
def no_other_runs(client, mocker):
    """Let the search for runs of earlier tries find none."""
    mocker.patch.object(client, "list_runs", return_value=(), create=True)


@pytest.mark.usefixtures("no_other_runs")
def test_retry_that_airflow_resumes_with_the_event_of_an_earlier_try_starts_over(client, ti):
    """As in Airflow 3.0, which keeps event and XComs."""
    ti.max_tries = 2
    for try_number in (1, 2):
        ti.try_number = try_number
        if try_number > 1:
            client.states = ["IN_PROGRESS"]
            with pytest.raises(TaskDeferred):
                resume(ti, Outcome.REACHED, "FAILED")
            assert len(client.submitted) == try_number - 1
        client.states = ["FAILED"]
        with pytest.raises(RunFailed):
            resume(ti, Outcome.REACHED, "FAILED")
    ti.try_number = 3
    client.states = ["IN_PROGRESS"]
    with pytest.raises(TaskDeferred):
        resume(ti, Outcome.REACHED, "FAILED")
    assert ti.xcoms["lifecycle_state"] == "", "Airflow 3.0 refuses to store None"
    client.states = ["SUCCEEDED"]
    assert resume(ti, Outcome.REACHED, "SUCCEEDED") == RUN_ID
    assert len(client.submitted) == 2


@pytest.mark.usefixtures("no_other_runs")
def test_time_limits_of_a_retry_that_starts_over_count_from_then(client, ti):
    ti.max_tries = 1
    ti.start_date -= timedelta(hours=1)
    client.states = ["FAILED"]
    with pytest.raises(RunFailed):
        resume(ti, Outcome.REACHED, "FAILED")
    ti.try_number = 2
    client.states = ["IN_PROGRESS"]
    with pytest.raises(TaskDeferred) as caught:
        resume(ti, Outcome.REACHED, "FAILED", completion_timeout=60)
    assert caught.value.trigger.deadline == pytest.approx(time.time() + 60, abs=30)


@pytest.mark.usefixtures("no_other_runs")
def test_retry_that_airflow_resumes_with_a_crash_of_an_earlier_trigger_starts_over(client, ti):
    ti.max_tries = 1
    with pytest.raises(RunTimedOut):
        trigger_failed(ti, "Trigger timeout")
    ti.try_number = 2
    client.states = ["IN_PROGRESS"]
    with pytest.raises(TaskDeferred):
        trigger_failed(ti, "Trigger timeout")
    assert len(client.submitted) == 1
    # It is resumed by its own trigger, of which Airflow says the same.
    with pytest.raises(RunTimedOut):
        trigger_failed(ti, "Trigger timeout")


def test_retry_is_resumed_by_its_own_event_after_airflow_has_deleted_the_xcoms(client, ti):
    """As in Airflow 3.1 and newer."""
    ti.max_tries = 1
    client.states = ["FAILED"]
    with pytest.raises(RunFailed):
        resume(ti, Outcome.REACHED, "FAILED")
    ti.try_number = 2
    ti.xcoms.clear()
    client.states = ["SUCCEEDED"]
    assert resume(ti, Outcome.REACHED, "SUCCEEDED") == RUN_ID
    assert client.submitted == []


def test_failed_request_to_airflow_does_not_hide_the_error_of_the_run(client, ti, mocker):
    ti.max_tries = 1
    client.states = ["FAILED"]
    task = operator(deferrable=True)
    push = ti.xcom_push

    def fail_for_failed_try(key, value):
        if key == "failed_try":
            raise RuntimeError("no connection")
        push(key, value)

    mocker.patch.object(ti, "xcom_push", fail_for_failed_try)
    with pytest.raises(RunFailed):
        resume(ti, Outcome.REACHED, "FAILED", task=task)


def test_crash_of_the_trigger_that_delays_the_submit_is_explained(client, ti):
    with pytest.raises(DataFlowError, match=r"the submit of the run.*out of memory"):
        operator(deferrable=True).resume_execution(
            "__fail__", {"error": "Trigger failure", "traceback": ["MemoryError: out of memory"]}, {"ti": ti}
        )


def test_outage_after_a_capacity_wait_has_the_whole_error_budget(client, ti, mocker):
    hours = 3600
    ti.start_date -= timedelta(hours=2)
    down = ServiceError(operation="CreateRun", message="down", status=503)
    mocker.patch.object(DataFlowHook, "create_run", side_effect=down)
    task = operator(deferrable=True, submit_timeout=6 * hours)
    with pytest.raises(TaskDeferred) as first:
        task.execute({"ti": ti})
    since = first.value.kwargs["submit_failing_since"]
    assert since == pytest.approx(time.time(), abs=60)
    again = operator(deferrable=True, submit_timeout=6 * hours)
    with pytest.raises(TaskDeferred) as second:
        again.resume_execution(first.value.method_name, first.value.kwargs, {"ti": ti})
    assert second.value.kwargs["submit_failing_since"] == since
    with pytest.raises(ServiceError, match="down"):
        again.resume_execution("execute_again", {"submit_failing_since": since - hours}, {"ti": ti})


def test_delay_at_the_end_of_the_submit_timeout_is_not_shorter_than_a_deferral_may_be(client, ti, mocker):
    ti.start_date -= timedelta(hours=2)
    down = ServiceError(operation="CreateRun", message="down", status=503)
    mocker.patch.object(DataFlowHook, "create_run", side_effect=down)
    with pytest.raises(TaskDeferred) as deferred:
        operator(deferrable=True, submit_timeout=2 * 3600 + 5).execute({"ti": ti})
    delay = deferred.value.trigger.moment - datetime.now(UTC)
    assert delay.total_seconds() == pytest.approx(DEFAULT_NO_EVENT_BEFORE, abs=2)


# --- Kill --------------------------------------------------------------------------------------------


def test_kill_cancels_run_and_ends_wait(client, ti, mocker):
    task = operator(poll_interval=60)
    client.states = ["IN_PROGRESS"]
    naps = []

    def nap(seconds):
        naps.append(seconds)
        task.on_kill()
        client.states = ["CANCELED"]

    mocker.patch("airflow_provider_dataflow.client.wait.time.sleep", nap)
    with pytest.raises(Exception, match="killed while it waited"):
        task.execute({"ti": ti})
    assert client.cancelled == [RUN_ID]
    assert naps == [pytest.approx(1, abs=0.01)]


def test_kill_during_a_poll_that_then_shows_the_canceled_run(client, ti, mocker):
    task = operator(poll_interval=60)
    client.states = ["IN_PROGRESS"]
    read = client.get_run

    def get_run(run_id):
        if not client.cancelled:
            client.states = ["CANCELED"]
            task.on_kill()
        return read(run_id)

    mocker.patch.object(client, "get_run", get_run)
    with pytest.raises(DataFlowError, match="killed while it waited"):
        task.execute({"ti": ti})
    assert client.cancelled == [RUN_ID]


@pytest.mark.parametrize(
    ("state", "max_tries", "cancelled"),
    [
        (TaskState(True, "failed"), 1, True),
        (TaskState(True, "restarting"), 1, True),
        (TaskState(exists=False), 1, True),
        (TaskState(True, None), 1, True),
        (TaskState(True, "running"), 1, False),
        (TaskState(True, "up_for_retry"), 1, False),
        (TaskState(True, "scheduled"), 1, False),
        (TaskState(True, "queued"), 1, False),
        (RuntimeError("no API server"), 1, False),
        (TaskState(True, "running"), 0, True),
    ],
)
def test_worker_shutdown_keeps_run_for_next_try(client, mocker, state, max_tries, cancelled):
    mocker.patch.object(
        task_state,
        "read_task_state",
        side_effect=state if isinstance(state, Exception) else None,
        return_value=state,
    )
    task = operator()
    task.execute({"ti": FakeTaskInstance(max_tries=max_tries)})
    task.on_kill()
    assert client.cancelled == ([RUN_ID] if cancelled else [])


def test_kill_cancels_run_if_airflow_does_not_answer(client, mocker):
    release = threading.Event()
    mocker.patch.object(task_state, "read_task_state", side_effect=lambda _: release.wait(10))
    task = operator()
    task.execute({"ti": FakeTaskInstance(max_tries=1)})
    task.on_kill()
    release.set()
    assert client.cancelled == [RUN_ID]


def test_task_timeout_cancels_run_although_retries_are_left(client, mocker):
    mocker.patch.object(task_state, "read_task_state", return_value=TaskState(True, "running"))
    task = operator()
    task.execute({"ti": FakeTaskInstance(max_tries=1)})
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:
        task.on_kill()
    assert client.cancelled == [RUN_ID]


def test_kill_keeps_run_without_cancel_on_kill(client, ti):
    task = operator(cancel_on_kill=False)
    task.execute({"ti": ti})
    task.on_kill()
    assert client.cancelled == []


def test_secrets_in_driver_output_are_hidden_during_the_run(client, capsys):
    """Also secrets of the operator's arguments that the service does not return."""
    client.states = ["IN_PROGRESS", "SUCCEEDED"]
    client.stdout = "as MARKED-1\n"
    task = InvokeRunOperator(
        task_id="task",
        execute="oci://b@n/a.py --token MARKED-1",
        compartment_id=COMPARTMENT_ID,
        poll_interval=0.01,
        deferrable=False,
    )
    task.execute({"ti": FakeTaskInstance()})
    shown = capsys.readouterr().out
    assert "as ***" in shown
    assert "as MARKED-1" not in shown


def test_operator_declares_durable_execution_for_airflows_registry():
    assert InvokeRunOperator._InvokeRunOperator__supports_durable_execution is True
    # Ownership cannot be switched off: a second run would be the result.
    assert "durable" not in inspect.signature(InvokeRunOperator).parameters


def test_durable_in_default_args_is_ignored():
    """As for any argument that other operators of a DAG have."""
    with DAG("durable", schedule=None, default_args={"durable": False}):
        InvokeRunOperator(task_id="run", application_id=APPLICATION_ID, compartment_id=COMPARTMENT_ID)
