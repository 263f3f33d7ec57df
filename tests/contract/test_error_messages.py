"""The log of a failed task ends with one error of this package, without its causes."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    InvalidArgument,
    InvalidConnection,
    NotFound,
    NotSubmitted,
    PoolTimedOut,
    RunCanceled,
    RunFailed,
    RunLost,
    RunTimedOut,
    ServiceError,
    SubmitRejected,
)
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators import called_by_airflow
from airflow_provider_dataflow.operators.application import DeleteApplicationOperator
from airflow_provider_dataflow.operators.base import DataFlowOperator
from airflow_provider_dataflow.operators.manage_run import CancelRunOperator, GetRunOperator
from airflow_provider_dataflow.operators.pool import CreatePoolOperator, StartPoolOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from airflow_provider_dataflow.ownership.acquire import RunAcquirer
from airflow_provider_dataflow.ownership.acquire_settings import AcquirePauses
from airflow_provider_dataflow.sensors.run import RunSensor
from tests.contract.conftest import poll_at_once, target_of
from tests.contract.tasks import run_task
from tests.unit.support import FakeTaskInstance

NO_RUN = "ocid1.dataflowrun.oc1.iad.nope"
NO_POOL = "ocid1.dataflowpool.oc1.iad.nope"
NODES = [{"shape": "VM.Standard2.1", "min": 1, "max": 1}]


@pytest.fixture
def local(scripted: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    poll_at_once(monkeypatch)
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    monkeypatch.setattr(RunAcquirer, "pauses", AcquirePauses(refusal=0, list_lag=0))
    return scripted


def invoke(local: DataFlowFixture, **arguments: Any) -> InvokeRunOperator:
    given: dict[str, Any] = {"poll_interval": 0.05, "error_budget": 1e-9, "fetch_logs": "never"}
    if not {"json", "run_id"} & arguments.keys():
        given["application_id"] = target_of(local).create_application("hello.py").id
    return InvokeRunOperator(task_id="task", **given | arguments)


def error_message_of(
    make: Callable[[], Any],
    kind: type[Exception] | tuple[type[Exception], ...],
    ti: FakeTaskInstance | None = None,
) -> str:
    """Run the task and return its error message, which must be well-formed and the end of the traceback."""
    with pytest.raises(kind) as caught:
        run_task(make, ti)
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("Traceback (most recent call last)") == 1, text
    message = str(caught.value)
    assert text.rstrip().endswith(message.rstrip())
    assert "target_service" not in message, "contains the SDK's error as a dict"
    for line in message.splitlines():
        assert not re.search(
            r"\.\.(?!\w)|\.;|[a-z)]  *(?:Nothing|Check|No run|Correct) ", line.strip(" .")
        ), line
    assert re.search(r"[.?]$| See https://\S+#[\w-]+$", message.splitlines()[0].rstrip())
    return message


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500])
@pytest.mark.parametrize("place", ["worker", "triggerer"])
def test_error_of_refused_submit_names_request_status_and_advice(
    local: DataFlowFixture, status: int, place: str
) -> None:
    local.add_fault("status", status=status, code="Odd", message="not you", operation="CreateRun")
    if place == "triggerer":
        from airflow_provider_dataflow.triggers.events import Outcome, RunEvent

        refused = SubmitRejected(
            operation="CreateRun", message="not you", status=status, opc_request_id="req"
        )
        event = RunEvent(Outcome.NOT_SUBMITTED, "", message=str(refused)).payload()

        class Resumed:
            def execute(self, context: Any) -> Any:
                return invoke(local).resume_execution("execute_complete", {"event": event}, context)

        message = error_message_of(Resumed, NotSubmitted)
    else:
        message = error_message_of(lambda: invoke(local), ServiceError)
        assert local.compartment_id in message or "application" in message or status in (409, 429, 500)
    assert "CreateRun" in message
    assert str(status) in message
    assert "opc-request-id" in message
    assert "not you" in message
    assert re.search(r"[.?]$| See https://\S+#[\w-]+$", message)


def test_error_of_invalid_argument_starts_with_its_name(local: DataFlowFixture) -> None:
    task = invoke(local)
    task.num_executors = "many"
    assert error_message_of(lambda: task, InvalidArgument).startswith("num_executors: ")


@pytest.mark.parametrize("operator", ["run", "get", "pool", "sensor"])
def test_error_of_invalid_connection_names_connection_and_field(
    local: DataFlowFixture, monkeypatch: pytest.MonkeyPatch, operator: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", '{"conn_type": "oci", "extra": {"region": "eu-frankfurt-1"}}')
    given: dict[str, Any] = {"task_id": "task", "oci_conn_id": "broken"}
    task = {
        "run": lambda: InvokeRunOperator(
            execute="oci://b@n/a.py", compartment_id=local.compartment_id, **given
        ),
        "get": lambda: GetRunOperator(run_id=NO_RUN, **given),
        "pool": lambda: StartPoolOperator(pool_id=NO_POOL, **given),
        "sensor": lambda: RunSensor(run_id=NO_RUN, deferrable=True, **given),
    }[operator]
    message = error_message_of(task, InvalidConnection)
    assert message.startswith("connection 'broken': login: missing")


def test_error_of_failed_or_cancelled_run_has_details_and_hint(local: DataFlowFixture) -> None:
    local.set_rules([{"displayName": "*", "attempts": [{"outcome": "FAILED", "details": "no such month"}]}])
    assert "no such month" in error_message_of(lambda: invoke(local), RunFailed)
    local.set_rules([{"displayName": "*", "attempts": [{"outcome": "CANCELED"}]}])
    message = error_message_of(
        lambda: invoke(local, deferrable=True), RunCanceled, FakeTaskInstance(task_id="other")
    )
    assert "state: CANCELED" in message
    assert f"hint: {RunCanceled.advice} {RunCanceled.see()}" in message


@pytest.mark.parametrize("deferrable", [False, True])
def test_error_of_lost_or_timed_out_run_names_run_and_request(
    local: DataFlowFixture, deferrable: bool
) -> None:
    local.keeps_running()
    message = error_message_of(
        lambda: invoke(local, deferrable=deferrable, completion_timeout=0.2), RunTimedOut
    )
    assert "cancel requested" in message
    ti = FakeTaskInstance(task_id="other")
    run_id = run_task(lambda: invoke(local, wait_for_completion=False), ti)
    local.add_fault("status", status=500, operation="GetRun", code="InternalServerError")
    sensor: dict[str, Any] = {"run_id": run_id, "error_budget": 0.001, "poke_interval": 0.05}
    message = error_message_of(lambda: RunSensor(task_id="s", **sensor), RunLost)
    assert run_id in message
    assert "GetRun" in message
    assert "opc-request-id" in message


@pytest.mark.parametrize("deferrable", [False, True])
def test_error_of_sensor_timeout_has_state_and_hint(local: DataFlowFixture, deferrable: bool) -> None:
    local.keeps_running()
    run_id = run_task(lambda: invoke(local, wait_for_completion=False))

    def sensor() -> RunSensor:
        return RunSensor(task_id="s", run_id=run_id, timeout=0.2, poke_interval=0.1, deferrable=deferrable)

    message = error_message_of(sensor, AirflowSensorTimeout)
    assert run_id in message
    assert "state: " in message
    assert "hint: " in message


def test_errors_of_other_operators_name_resource_and_advice(
    local: DataFlowFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in (
        lambda: StartPoolOperator(task_id="t", pool_id=NO_POOL),
        lambda: RunStatementOperator(task_id="t", run_id=NO_RUN, code="1"),
        lambda: CancelRunOperator(task_id="t", run_id=NO_RUN),
        lambda: GetRunOperator(task_id="t", run_id=NO_RUN),
    ):
        message = error_message_of(task, ServiceError)
        assert "returned 404" in message
        assert "opc-request-id" in message
        assert "Check the OCIDs" in message
    message = error_message_of(lambda: DeleteApplicationOperator(task_id="t", display_name="nope"), NotFound)
    assert "'nope'" in message
    local.add_fault("slow", operation="GetPool", seconds=0.1)
    message = error_message_of(
        lambda: CreatePoolOperator(
            task_id="t", display_name="cold", configurations=NODES, timeout=1e-3, poll_interval=0.05
        ),
        PoolTimedOut,
    )
    assert "state: " in message


@pytest.mark.parametrize("operator", ["cancel", "statement", "pool", "sensor"])
@pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger failure"])
def test_error_of_failed_trigger_names_resource_and_cause(
    local: DataFlowFixture, operator: str, reason: str
) -> None:
    make: Callable[[], Any] = {
        "cancel": lambda: CancelRunOperator(task_id="t", run_id=NO_RUN),
        "statement": lambda: RunStatementOperator(task_id="t", run_id=NO_RUN, code="1"),
        "pool": lambda: StartPoolOperator(task_id="t", pool_id=NO_POOL),
        "sensor": lambda: RunSensor(task_id="t", run_id=NO_RUN),
    }[operator]
    failure = traceback.format_exception(InvalidConnection("login: missing"))

    class Resumed:
        def execute(self, context: Any) -> Any:
            given = {"error": reason, "traceback": failure}
            return make().resume_execution("__fail__", given, context)

    message = error_message_of(Resumed, (DataFlowError, AirflowSensorTimeout))
    assert "nope" in message
    if reason == "Trigger failure":
        assert "InvalidConnection: login: missing." in message


def tasks() -> list[type]:
    """Return all operators and sensors of the package."""
    found: list[type] = [DataFlowOperator, RunSensor]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found


@pytest.mark.parametrize("kind", tasks(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["execute", "resume_execution"])
def test_every_method_that_airflow_calls_is_decorated(kind: type, name: str) -> None:
    method = getattr(kind, name)
    if method.__module__.startswith("airflow.") or inspect.isabstract(kind):
        return
    files = set()
    while method is not None:
        files.add(inspect.getsourcefile(method))
        method = getattr(method, "__wrapped__", None)
    assert called_by_airflow.__file__ in files
