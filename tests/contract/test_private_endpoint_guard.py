"""Runs of two applications with private endpoints: both succeed with the guard, one fails without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import oci
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dataflow.exceptions import DataFlowError, RunFailed
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.run import TERMINAL_STATES
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership.acquire import RunAcquirer
from airflow_provider_dataflow.triggers.run import RunTrigger
from tests.contract.conftest import target_of
from tests.unit.support import FakeStateStore, FakeTaskInstance

models = oci.data_flow.models


@pytest.fixture
def applications(scripted: DataFlowFixture) -> list[str]:
    """Two applications with private endpoints."""
    target = target_of(scripted)
    found = []
    for number in (1, 2):
        details = models.CreatePrivateEndpointDetails(
            compartment_id=target.compartment_id,
            dns_zones=[f"{number}.example.com"],
            subnet_id="ocid1.subnet.oc1.iad.x",
        )
        endpoint = target.client.create_private_endpoint(details).data
        while target.client.get_private_endpoint(endpoint.id).data.lifecycle_state == "CREATING":
            time.sleep(0.05)
        found.append(target.create_application("hello.py", private_endpoint_id=endpoint.id).id)
    return found


def operator(application_id: str, **kwargs: Any) -> InvokeRunOperator:
    arguments: dict[str, Any] = {"poll_interval": 0.1, "private_endpoint_guard": True}
    return InvokeRunOperator(task_id="task", application_id=application_id, **arguments | kwargs)


def context(dag_id: str) -> Any:
    return {"ti": FakeTaskInstance(dag_id=dag_id), "task_state_store": FakeStateStore()}


def errors_of_simultaneous(*tasks: Callable[[], Any]) -> list[Exception | None]:
    """Run the tasks at the same time and return the error of each, or ``None``."""
    errors: list[Exception | None] = [None] * len(tasks)

    def run(number: int, task: Callable[[], Any]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - checked by the test
            errors[number] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


@pytest.mark.parametrize("guard", [True, False])
def test_both_runs_succeed_with_guard_and_one_fails_without(scripted, applications, guard):
    scripted.succeeds(startup=0.5, duration=1.5)
    tasks = [operator(application, private_endpoint_guard=guard) for application in applications]
    errors = errors_of_simultaneous(
        *(lambda t=t, n=n: t.execute(context(f"dag{n}")) for n, t in enumerate(tasks))
    )
    if guard:
        assert errors == [None, None]
        assert "FAILED" not in [run["lifecycleState"] for run in scripted.runs]
    else:
        (error,) = filter(None, errors)
        assert isinstance(error, RunFailed)
        assert "private endpoint" in str(error)


def test_runs_of_one_application_do_not_wait_for_each_other(scripted, applications):
    scripted.keeps_running()
    running = operator(applications[0], wait_for_completion=False).execute(context("dag1"))
    other = operator(applications[0], wait_for_completion=False).execute(context("dag2"))
    assert scripted.runs_created == [running, other]


def test_application_without_private_endpoint_does_not_wait(scripted, applications):
    scripted.keeps_running()
    operator(applications[0], wait_for_completion=False).execute(context("dag1"))
    plain = target_of(scripted).create_application("hello.py").id
    operator(plain, wait_for_completion=False).execute(context("dag2"))
    assert len(scripted.runs_created) == 2


def test_deferrable_task_defers_until_conflicting_run_ends(scripted, applications):
    scripted.keeps_running()
    other = operator(applications[0], wait_for_completion=False).execute(context("dag1"))
    task = operator(applications[1], deferrable=True)
    own = context("dag2")
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(own)
    trigger = deferred.value.trigger
    assert isinstance(trigger, RunTrigger)
    assert (trigger.run_id, trigger.cancel_on_kill, trigger.follow_logs) == (other, False, False)
    assert set(trigger.target_states) == TERMINAL_STATES
    assert scripted.runs_created == [other]
    task.hook.cancel_run(other)
    scripted.succeeds()
    again = operator(applications[1], wait_for_completion=False)
    assert again.execute_again(own, {"outcome": "reached"}) == scripted.runs_created[1]


def test_wait_for_conflicting_run_ends_at_submit_timeout(scripted, applications):
    scripted.keeps_running()
    other = operator(applications[0], wait_for_completion=False).execute(context("dag1"))
    with pytest.raises(DataFlowError, match=rf"within 0.3 seconds .*run {other} .* private endpoint"):
        operator(applications[1], submit_timeout=0.3).execute(context("dag2"))
    assert scripted.runs_created == [other]


def test_later_of_two_simultaneous_submits_is_cancelled_and_repeated(scripted, applications, mocker):
    """The second task's first search misses the other run."""
    scripted.succeeds(startup=1.0, duration=0.5)
    first = operator(applications[0], wait_for_completion=False).execute(context("dag1"))
    task = operator(applications[1])
    wait_for_conflicting_run = RunAcquirer._wait_for_conflicting_run
    calls = []

    def miss_the_first(acquirer):
        calls.append(acquirer)
        if len(calls) > 1:
            wait_for_conflicting_run(acquirer)

    mocker.patch.object(RunAcquirer, "_wait_for_conflicting_run", miss_the_first)
    run_id = task.execute(context("dag2"))
    states = {run["id"]: run["lifecycleState"] for run in scripted.runs}
    assert states.pop(first) == states.pop(run_id) == "SUCCEEDED"
    assert list(states.values()) == ["CANCELED"]


def test_guard_searches_only_given_compartments(scripted, applications):
    scripted.keeps_running()
    operator(applications[0], wait_for_completion=False).execute(context("dag1"))
    elsewhere = "ocid1.compartment.oc1..elsewhere"
    task = operator(
        applications[1],
        compartment_id=elsewhere,
        private_endpoint_guard=[elsewhere],
        wait_for_completion=False,
    )
    task.execute(context("dag2"))
    assert len(scripted.runs_created) == 2


def test_placeholder_takes_value_from_application(scripted):
    target = target_of(scripted)
    application = target.create_application(
        "hello.py", arguments=["${day}"], parameters=[models.ApplicationParameter(name="day", value="1")]
    )
    task = operator(application.id, arguments=["--day", "${day}"], wait_for_completion=False)
    task.execute(context("dag1"))
    with pytest.raises(ValueError, match=r"no parameter 'month' for \$\{month\}"):
        operator(application.id, arguments=["${month}"]).execute(context("dag2"))
    assert len(scripted.runs_created) == 1
