"""One run per try after crashes: the operator through the real SDK, without a scheduler.

Each try is a new operator and task instance. Only Airflow's task state store survives, or, before
Airflow 3.3, nothing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    RunCanceled,
    RunFailed,
    RunLost,
    ServiceError,
    SubmitRejected,
)
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.engines.rules import RunScript
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators import run as operator_module
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership import task_attempt
from airflow_provider_dataflow.ownership.acquire import RunAcquirer
from airflow_provider_dataflow.ownership.acquire_settings import AcquirePauses
from airflow_provider_dataflow.ownership.record_store import RECORD_KEY
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from tests.contract.conftest import target_of
from tests.unit.support import FakeStateStore, FakeTaskInstance

DAY = 24 * 3600


class Killed(BaseException):
    """``kill -9``: no code of the process runs after it."""


@pytest.fixture
def local(manual_clock: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    monkeypatch.setattr(RunAcquirer, "pauses", AcquirePauses(refusal=0.01, read=0.01, list=0.05))
    return manual_clock


@pytest.fixture(params=["recorded", "unrecorded"])
def task(request: pytest.FixtureRequest, local: DataFlowFixture, mocker: Any) -> Task:
    return Task(local, mocker, FakeStateStore() if request.param == "recorded" else None)


@pytest.fixture
def recorded(local: DataFlowFixture, mocker: Any) -> Task:
    return Task(local, mocker, FakeStateStore())


class Task:
    """A task instance and its tries."""

    def __init__(self, local: DataFlowFixture, mocker: Any, store: FakeStateStore | None) -> None:
        self.local, self.mocker, self.store = local, mocker, store
        self.application_id = target_of(local).create_application("hello.py").id
        self.try_number, self.max_tries = 1, 2
        self.fields: dict[str, Any] = {}

    def operator(self, **kwargs: Any) -> InvokeRunOperator:
        arguments = {"application_id": self.application_id, "poll_interval": 0.05, "error_budget": 0.001}
        return InvokeRunOperator(task_id="task", **arguments | kwargs)

    def run(self, operator: InvokeRunOperator | None = None, **kwargs: Any) -> str:
        """Run one try."""
        run_id: str = (operator or self.operator(**kwargs)).execute(self.context())
        return run_id

    def context(self, **fields: Any) -> dict[str, Any]:
        """Return the context of another process of the try."""
        self.ti = FakeTaskInstance(
            try_number=self.try_number, max_tries=self.max_tries, **self.fields | fields
        )
        store = {} if self.store is None else {"task_state_store": self.store}
        return {"ti": self.ti, **store}

    def resume(self, event: RunEvent) -> None:
        """Resume the deferrable operator in a new process, with the XComs of the one before."""
        arguments = {"event": event.payload()}
        context = self.context(xcoms=self.ti.xcoms)
        self.operator(deferrable=True).resume_execution("execute_complete", arguments, context)

    def killed_at(self, module: str, **kwargs: Any) -> None:
        """Run a try that is killed with ``kill -9`` when it calls this function of the package."""
        patch = self.mocker.patch(f"airflow_provider_dataflow.{module}", side_effect=Killed)
        with pytest.raises(Killed):
            self.run(**kwargs)
        self.mocker.stop(patch)

    def retry(self, **kwargs: Any) -> str:
        self.try_number += 1
        return self.run(**kwargs)

    def clear(self, **kwargs: Any) -> str:
        """Run the next try after a clear: Airflow raises ``max_tries``."""
        self.try_number += 1
        self.max_tries += 1
        return self.run(**kwargs)

    def states(self) -> list[str]:
        return [run["lifecycleState"] for run in self.local.runs]


WAIT = "operators.run.InvokeRunOperator._wait_in_worker"
PUSH = "operators.run.InvokeRunOperator._push_run"
#: Functions in which a worker can be killed after the submit and before the end of the run.
KILLS = [
    pytest.param("ownership.acquire.decide", id="before the record"),
    pytest.param(PUSH, id="after the record"),
    pytest.param(WAIT, id="while it waits"),
]


# --- Submit --------------------------------------------------------------------------------------------


def test_lost_submit_response_creates_no_second_run(task):
    task.local.add_fault("lost_response", operation="CreateRun", count=2)
    assert task.run() == task.local.runs_created[0]
    assert len(task.local.runs_created) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_submit_retries_service_errors(task, status):
    task.local.add_fault("status", status=status, operation="CreateRun", count=2)
    task.run()
    assert len(task.local.runs_created) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_submit_retries_refusal_that_may_be_stray(task, status):
    task.local.add_fault("status", status=status, operation="CreateRun", count=2)
    task.run()
    task.local.assert_requests(CreateRun=3)


def test_lasting_refusal_fails_the_task(task):
    task.local.add_fault("status", status=404, operation="CreateRun")
    with pytest.raises(SubmitRejected):
        task.run()
    task.local.assert_requests(CreateRun=3, DeleteRun=0)


def test_error_of_first_poll_after_submit_is_retried(task):
    task.local.add_fault("status", status=404, operation="GetRun", count=2)
    task.run(error_budget=600)
    assert len(task.local.runs_created) == 1


def retry_until_waiting(task: Task) -> None:
    """Run a retry that is killed while it waits for an active run."""
    task.mocker.patch("airflow_provider_dataflow.client.wait.sleep", side_effect=Killed)
    with pytest.raises(Killed):
        task.retry()


# --- Retry ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", KILLS)
def test_retry_reattaches_to_active_run(task, where):
    task.local.keeps_running()
    task.killed_at(where)
    (run_id,) = task.local.runs_created
    retry_until_waiting(task)
    assert task.local.runs_created == [run_id]
    assert task.ti.xcoms["run_id"] == run_id
    assert task.local.cancels == []


@pytest.mark.parametrize("where", KILLS)
def test_retry_adopts_succeeded_run(task, where):
    task.killed_at(where)
    assert task.states() == ["SUCCEEDED"]
    assert [task.retry()] == task.local.runs_created


@pytest.mark.parametrize("outcome", ["fails", "is_canceled", "is_stopped"])
@pytest.mark.parametrize("where", KILLS)
def test_retry_replaces_unsuccessful_run(task, where, outcome):
    getattr(task.local, outcome)()
    task.killed_at(where)
    task.local.succeeds()
    assert task.retry() == task.local.runs_created[1]
    assert len(task.states()) == 2


def test_every_retry_after_failed_run_submits_another_run(task):
    task.local.fails()
    with pytest.raises(RunFailed):
        task.run()
    for _ in range(2):
        with pytest.raises(RunFailed):
            task.retry()
    assert len(task.local.runs_created) == 3


def test_number_of_requests_does_not_grow_with_the_number_of_tries(task):
    task.local.fails()
    task.max_tries = 12
    with pytest.raises(RunFailed):
        task.run()
    requests = []
    for _ in range(8):
        before = len(task.local.journal())
        with pytest.raises(RunFailed):
            task.retry()
        requests.append(len(task.local.journal()) - before)
    assert len(set(requests)) == 1, requests


def test_failed_run_of_this_try_is_not_replaced(task):
    task.local.fails()
    task.local.add_fault("lost_response", operation="CreateRun", count=1)
    with pytest.raises(RunFailed):
        task.run()
    assert len(task.local.runs_created) == 1


def test_retry_submits_after_kill_before_createrun(task):
    task.killed_at("client.sync_client.DataFlowClient.create_run")
    assert task.local.runs_created == []
    assert [task.retry()] == task.local.runs_created


def test_run_is_found_by_tags_after_invalidated_token(task):
    task.local.keeps_running()
    task.killed_at("ownership.acquire.decide")
    (run_id,) = task.local.runs_created
    task.local.add_fault("replay_conflict", operation="CreateRun")
    retry_until_waiting(task)
    assert task.local.runs_created == [run_id]
    assert task.ti.xcoms["run_id"] == run_id


def test_search_by_tags_waits_for_delayed_list(task, mocker):
    """The service has just reported that the run exists, although the list does not have it yet."""
    task.local.keeps_running()
    task.killed_at("ownership.acquire.decide")
    (run_id,) = task.local.runs_created
    task.local.add_fault("replay_conflict", operation="CreateRun")
    find, searches = RunAcquirer._find, []

    def find_late(self, token):
        searches.append(token)
        return find(self, token) if len(searches) > 3 else None

    mocker.patch.object(RunAcquirer, "_find", find_late)
    delay_first_list(mocker)
    retry_until_waiting(task)
    assert task.local.runs_created == [run_id]
    assert len(searches) == 4


def delay_first_list(mocker) -> None:
    """Let the search that a try without a record begins with find nothing."""
    mocker.patch.object(RunAcquirer, "_last_unrecorded_submit", lambda self: self._new_record(generation=0))


def test_unrecorded_run_is_found_without_another_submit(task):
    """The service may have forgotten the token, and nothing tells when it was used."""
    task.local.keeps_running()
    task.killed_at("ownership.acquire.decide")
    before = len(task.local.journal("CreateRun"))
    retry_until_waiting(task)
    assert len(task.local.runs_created) == 1
    assert len(task.local.journal("CreateRun")) - before == (1 if task.store else 0)


def test_killed_task_finds_and_cancels_run_after_invalidated_token(task, mocker):
    task.local.keeps_running()
    task.killed_at("ownership.acquire.decide")
    (run_id,) = task.local.runs_created
    task.local.add_fault("replay_conflict", operation="CreateRun")
    delay_first_list(mocker)
    operator = task.operator()
    refused = DataFlowHook.create_run

    def killed_meanwhile(self, *args):
        operator._killed = True
        return refused(self, *args)

    mocker.patch.object(DataFlowHook, "create_run", killed_meanwhile)
    with pytest.raises(Exception, match="killed"):
        task.retry(operator=operator)
    assert task.states() == ["CANCELED"]
    assert task.local.runs_created == [run_id]


@pytest.mark.parametrize("retries", [0, 1])
def test_clear_after_lowering_retries_submits_another_run(task, retries):
    """``max_tries`` is then the same as before the clear."""
    task.max_tries = 1
    task.run()
    task.fields["task"] = SimpleNamespace(retries=retries)
    task.try_number, task.max_tries = 2, 1 + retries
    task.run()
    assert len(task.local.runs_created) == 2


def test_retry_is_not_mistaken_for_clear(task):
    task.fields["task"] = SimpleNamespace(retries=task.max_tries)
    task.killed_at(PUSH)
    task.retry()
    assert len(task.local.runs_created) == 1


def test_retry_reattaches_although_template_renders_differently(task):
    """The service refuses another body with the same token."""
    task.killed_at(PUSH, arguments=["10:00"])
    task.retry(arguments=["10:05"])
    assert len(task.local.runs_created) == 1


def test_run_with_expired_token_is_found_by_tags(recorded):
    recorded.local.keeps_running()
    recorded.killed_at("ownership.acquire.decide")
    recorded.local.advance(DAY + 60)
    recorded.store.values[RECORD_KEY]["time"] = time.time() - DAY - 60
    retry_until_waiting(recorded)
    assert [recorded.ti.xcoms["run_id"]] == recorded.local.runs_created
    assert recorded.local.requests_by_operation["CreateRun"] == 1


def test_submit_with_expired_token_and_no_run_is_repeated(recorded):
    recorded.killed_at("client.sync_client.DataFlowClient.create_run")
    recorded.store.values[RECORD_KEY]["time"] = time.time() - DAY - 60
    assert [recorded.retry()] == recorded.local.runs_created


def test_unreadable_run_of_earlier_try_is_lost_not_replaced(recorded):
    recorded.local.keeps_running()
    recorded.killed_at(WAIT)
    recorded.local.add_fault("status", status=404, operation="GetRun")
    with pytest.raises(RunLost, match="Clear the task to start over"):
        recorded.retry()
    assert len(recorded.local.runs_created) == 1


def test_reading_run_of_earlier_try_retries_errors(recorded, mocker):
    recorded.killed_at(WAIT)
    recorded.local.add_fault("status", status=404, operation="GetRun", count=2)
    assert [recorded.retry(error_budget=600)] == recorded.local.runs_created


# --- Clear ---------------------------------------------------------------------------------------------


def test_clear_submits_another_run(task):
    first = task.run()
    second = task.clear()
    assert task.local.runs_created == [first, second]
    assert task.local.cancels == []


@pytest.mark.parametrize("where", KILLS)
def test_clear_cancels_active_run_from_before(task, where):
    task.local.keeps_running()
    task.killed_at(where)
    task.local.succeeds()
    task.clear()
    assert task.states() == ["CANCELED", "SUCCEEDED"]


def test_clear_keeps_active_run_without_cancel_on_kill(recorded):
    recorded.local.keeps_running()
    recorded.killed_at(WAIT, cancel_on_kill=False)
    recorded.local.succeeds()
    recorded.clear(cancel_on_kill=False)
    assert recorded.states() == ["IN_PROGRESS", "SUCCEEDED"]


def test_clear_submits_although_run_from_before_is_unreadable(recorded, mocker):
    recorded.local.keeps_running()
    recorded.killed_at(WAIT)
    (first,) = recorded.local.runs_created
    recorded.local.succeeds()
    recorded.local.add_fault("status", status=404, resource_id=first)
    mocker.patch("airflow_provider_dataflow.client.cancel.FIRST_PAUSE_SECONDS", 0.01)
    assert recorded.clear(cancel_timeout=0.05) == recorded.local.runs_created[1]


def test_two_clears_submit_two_more_runs(task):
    task.run()
    task.clear()
    task.clear()
    assert len(task.local.runs_created) == 3


def test_recreated_dag_run_with_same_id_gets_another_run(recorded, mocker):
    mocker.patch.object(task_attempt, "dag_run_start", side_effect=["2026-01-01", "2026-01-02"])
    recorded.run()
    recorded.store.values.clear()  # gone with the DAG run
    recorded.run()
    assert len(recorded.local.runs_created) == 2


# --- Parallel tasks --------------------------------------------------------------------------------------


def test_mapped_tasks_and_parallel_dag_runs_have_separate_runs(task):
    for fields in ({"map_index": 0}, {"map_index": 1}, {"run_id": "backfill__2"}, {"dag_id": "other"}):
        task.fields = fields
        if task.store is not None:
            task.store = FakeStateStore()
        task.run()
    assert len(set(task.local.runs_created)) == 4


def test_clear_of_one_mapped_task_keeps_runs_of_others(task):
    task.local.keeps_running()
    task.fields = {"map_index": 0}
    store_of_first, task.store = task.store, FakeStateStore() if task.store else None
    task.killed_at(WAIT)
    task.fields, task.store = {"map_index": 1}, store_of_first
    task.killed_at(WAIT)
    task.local.succeeds()
    task.clear()
    assert task.states() == ["IN_PROGRESS", "CANCELED", "SUCCEEDED"]


# --- Kills and timeouts ------------------------------------------------------------------------------


def test_kill_during_submit_cancels_the_run(recorded):
    """The signal arrives after the service has created the run and before the task receives the response."""
    recorded.local.keeps_running()
    operator = recorded.operator()
    create_run = operator.hook.create_run

    def killed(request, token):
        run = create_run(request, token)
        operator.on_kill()
        return run

    recorded.mocker.patch.object(operator.hook, "create_run", killed)
    with pytest.raises(Exception, match="The task was killed"):
        recorded.run(operator)
    assert recorded.states() == ["CANCELED"]


def test_error_after_submit_cancels_run_on_last_try_only(task, mocker):
    task.local.keeps_running()
    mocker.patch.object(InvokeRunOperator, "_push_run", side_effect=RuntimeError)
    with pytest.raises(RuntimeError):
        task.run()
    assert task.local.cancels == [], "a retry re-attaches to it"
    task.try_number = task.max_tries
    with pytest.raises(RuntimeError):
        task.retry()
    assert task.states() == ["CANCELED"]


def test_completion_timeout_cancels_run_in_worker(task):
    task.local.keeps_running()
    with pytest.raises(operator_module.RunTimedOut, match="cancel requested"):
        task.run(completion_timeout=0.3)
    assert task.states() == ["CANCELED"]


def test_run_cancelled_by_another_client_fails_the_task(task):
    task.local.is_canceled()
    with pytest.raises(RunCanceled):
        task.run()


@pytest.mark.parametrize(("kind", "how"), [("slow", {"seconds": 1.0}), ("status", {"status": 503})])
def test_cancel_is_repeated_after_slow_or_failed_request(task, kind, how):
    task.local.keeps_running()
    task.max_tries = 0  # no later try re-attaches to the run
    operator = task.operator()
    task.mocker.patch("airflow_provider_dataflow.client.wait.sleep", side_effect=Killed)
    with pytest.raises(Killed):
        task.run(operator)
    task.local.add_fault(kind, operation="DeleteRun", count=2, **how)
    operator.on_kill()
    assert task.states() == ["CANCELED"]


def test_submit_is_repeated_until_capacity_is_free(task, mocker):
    task.local.add_fault("limit_exceeded", limit=0)
    naps = []

    def nap(seconds, check):
        naps.append(seconds)
        if len(naps) == 2:
            task.local.clear_faults()

    mocker.patch("airflow_provider_dataflow.client.wait.sleep", nap)
    task.run()
    assert len(naps) >= 2
    assert len(task.local.runs_created) == 1


def test_capacity_wait_ends_at_submit_timeout(task):
    task.local.add_fault("limit_exceeded", limit=0)
    with pytest.raises(SubmitRejected, match="LimitExceeded"):
        task.run(submit_timeout=0.001)


def test_outage_during_submit_raises_its_error(task, mocker):
    mocker.patch.object(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))
    task.local.add_fault("drop", operation="CreateRun")
    with pytest.raises(ServiceError, match="got no response"):
        task.run()


def test_retry_that_airflow_resumes_with_an_old_event_submits_another_run(task):
    """Airflow 3.0 resumes the second try with the event, and keeps the XComs, of the first one."""
    task.local.keeps_running()
    with pytest.raises(TaskDeferred):
        task.run(deferrable=True)
    (first,) = task.local.runs_created
    task.local.end_run(first, RunScript(outcome="FAILED"))
    event = RunEvent(Outcome.REACHED, first, "FAILED")
    with pytest.raises(RunFailed):
        task.resume(event)
    task.try_number += 1
    with pytest.raises(TaskDeferred) as deferral:
        task.resume(event)
    _, second = task.local.runs_created
    assert deferral.value.trigger.run_id == second
    task.local.end_run(second)
    task.resume(RunEvent(Outcome.REACHED, second, "SUCCEEDED"))
    assert len(task.local.runs_created) == 2


# --- Runs of which the task knows no OCID, and cancels that are not confirmed -------------------------------


@pytest.fixture
def kill_in_pause(mocker):
    """Kill the task with ``kill -9`` at its first pause."""
    mocker.patch("airflow_provider_dataflow.client.wait.sleep", side_effect=Killed)


def test_clear_submits_no_second_run_while_the_first_cannot_be_cancelled(recorded, kill_in_pause):
    recorded.local.keeps_running()
    recorded.killed_at("operators.run.InvokeRunOperator._wait_in_worker")
    recorded.local.add_fault("status", status=409, operation="DeleteRun")
    with pytest.raises(ServiceError, match="DeleteRun"):
        recorded.clear(cancel_timeout=0.2)
    assert recorded.states() == ["IN_PROGRESS"]
    recorded.local.clear_faults()
    with pytest.raises(Killed):
        recorded.retry()
    assert recorded.states() == ["CANCELED", "IN_PROGRESS"]


def test_clear_submits_no_second_run_while_a_lost_one_cannot_be_searched(recorded, kill_in_pause, mocker):
    mocker.patch.object(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))
    recorded.local.keeps_running()
    recorded.killed_at("ownership.acquire.decide")
    recorded.local.add_fault("status", status=503, operation="ListRuns", count=1)
    with pytest.raises(Killed):
        recorded.clear()
    assert recorded.states() == ["IN_PROGRESS"]


@pytest.mark.parametrize("own_tags", [0, 7, 9])
def test_lost_run_is_found_whatever_the_number_of_its_own_tags(recorded, kill_in_pause, own_tags):
    """OCI allows ten tags, and those that name the task are dropped first."""
    tags = {f"k{number}": "v" for number in range(own_tags)}
    recorded.local.keeps_running()
    recorded.killed_at("ownership.acquire.decide", freeform_tags=tags)
    with pytest.raises(Killed):
        recorded.clear(freeform_tags=tags)
    assert recorded.states() == ["CANCELED", "IN_PROGRESS"]


def test_run_is_cancelled_if_the_last_try_cannot_record_it(recorded, mocker):
    recorded.local.keeps_running()
    recorded.max_tries = 0
    save, calls = recorded.store.set, []

    def fail_after_the_submit(key, value, **kwargs):
        calls.append(key)
        if len(calls) == 2:
            raise RuntimeError("no API server")
        return save(key, value, **kwargs)

    mocker.patch.object(recorded.store, "set", fail_after_the_submit)
    with pytest.raises(RuntimeError, match="no API server"):
        recorded.run()
    assert recorded.states() == ["CANCELED"]


def test_kill_in_the_pause_after_a_lost_response_cancels_the_run(recorded, mocker):
    mocker.patch.object(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))
    recorded.local.keeps_running()
    recorded.max_tries = 0
    recorded.local.add_fault("lost_response", operation="CreateRun", count=1)
    task = recorded.operator(error_budget=1800)

    def kill(seconds, raise_if_killed):
        task.on_kill()
        raise_if_killed()

    mocker.patch("airflow_provider_dataflow.client.wait.sleep", kill)
    with pytest.raises(DataFlowError, match="killed before it had a run"):
        recorded.run(task)
    assert recorded.states() == ["CANCELED"]


@pytest.mark.parametrize("limit", ["completion_timeout", "execution_timeout"])
def test_nothing_is_submitted_after_the_limit_of_the_task(recorded, mocker, limit):
    """It would be cancelled at once."""
    recorded.fields = {"start_date": datetime.now(UTC) - timedelta(hours=4)}
    recorded.local.add_fault("limit_exceeded", limit=0)
    mocker.patch("airflow_provider_dataflow.client.wait.sleep")
    with pytest.raises(SubmitRejected, match="LimitExceeded"):
        recorded.run(**{limit: timedelta(hours=1)})
    assert recorded.local.runs_created == []
