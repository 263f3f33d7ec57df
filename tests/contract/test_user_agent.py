"""User-Agent of all requests of worker and triggerer."""

from __future__ import annotations

import platform
import uuid

import airflow
import oci
import pytest

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.pool import CreatePoolOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from airflow_provider_dataflow.ownership import record_store
from airflow_provider_dataflow.triggers import submit
from airflow_provider_dataflow.triggers.run import RunTrigger
from tests.contract.conftest import Target, poll_at_once, target_of
from tests.contract.tasks import run_task
from tests.unit.support import FakeTaskInstance

EXPECTED = (
    f"Oracle-PythonSDK/{oci.__version__} (python {platform.python_version()}; "
    f"{platform.machine()}-{platform.system()}) apache-airflow/{airflow.__version__} "
    f"airflow-provider-dataflow/{__version__}"
)


@pytest.fixture
def local(scripted: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    poll_at_once(monkeypatch)
    return scripted


@pytest.fixture
def target(local: DataFlowFixture) -> Target:
    return target_of(local)


def agents(local: DataFlowFixture) -> dict[str, set[str]]:
    """Return the calling components of Airflow by operation, and check the rest of the User-Agents."""
    found: dict[str, set[str]] = {}
    for entry in local.journal():
        base, _, part = entry["user_agent"].rpartition(" ")
        assert base == EXPECTED, entry["operation"]
        found.setdefault(entry["operation"], set()).add(part.strip("()"))
    return found


def test_deferred_run_wait_names_the_triggerer(local, target):
    application_id = target.create_application("hello.py").id
    local.clear_journal()

    def operator() -> InvokeRunOperator:
        return InvokeRunOperator(
            task_id="run", application_id=application_id, deferrable=True, poll_interval=1
        )

    run_task(operator)
    found = agents(local)
    assert found["CreateRun"] == {"worker"}
    assert "triggerer" in found["GetRun"]
    assert "triggerer" in found["ListRunLogs"]
    assert "worker" in found["GetRunLog"]


def test_deferred_statement_and_pool_waits_name_the_triggerer(local, target):
    application = target.create_application("none.py", type="SESSION", file_uri=None)
    run_id = target.submit(application.id).id
    target.wait(run_id, lambda run: run.lifecycle_state == "IN_PROGRESS")
    local.clear_journal()
    run_task(
        lambda: RunStatementOperator(
            task_id="statement", run_id=run_id, code="print(1)", deferrable=True, poll_interval=1
        )
    )
    run_task(
        lambda: CreatePoolOperator(
            task_id="pool",
            display_name="pool",
            configurations=[{"shape": "VM.Standard2.1", "min": 1, "max": 1}],
            deferrable=True,
            poll_interval=1,
        )
    )
    found = agents(local)
    assert found["CreateStatement"] == found["CreatePool"] == {"worker"}
    assert "triggerer" in found["GetStatement"] & found["GetPool"]


async def test_both_clients_of_a_hook_send_the_same_user_agent(local, target):
    run_id = target.submit(target.create_application("hello.py").id).id
    target.wait(run_id)
    local.clear_journal()
    hook = DataFlowHook()
    hook.get_run(run_id)
    hook.cancel_run(run_id)
    name = hook.list_run_logs(run_id)[0].name
    list(hook.get_run_log(run_id, name))
    async with await hook.async_client() as client:
        await client.get_run(run_id)
        await client.list_runs_page(local.compartment_id, limit=1)
        async for _ in client.get_run_log(run_id, name):
            pass
    assert {entry["user_agent"] for entry in local.journal()} == {f"{EXPECTED} (worker)"}
    assert set(agents(local)) >= {"GetRun", "DeleteRun", "ListRuns", "ListRunLogs", "GetRunLog"}


async def test_cancel_by_a_killed_trigger_names_the_triggerer(local, target):
    local.keeps_running()
    run_id = target.submit(target.create_application("hello.py").id).id
    local.clear_journal()
    await RunTrigger(run_id, cancel_on_kill=True).on_kill()
    assert agents(local)["DeleteRun"] == {"triggerer"}


async def test_submit_by_a_trigger_names_the_triggerer(local, target, mocker):
    for module in (submit, record_store):
        mocker.patch.object(module, "push_xcom")
    mocker.patch.object(record_store, "pull_xcom", return_value=None)
    operator = InvokeRunOperator(
        task_id="run",
        application_id=target.create_application("hello.py").id,
        start_from_trigger=True,
        fetch_logs="never",
    )
    local.clear_journal()
    trigger = submit.SubmitRunTrigger(**operator.start_trigger_args.trigger_kwargs)
    trigger.task_instance = FakeTaskInstance(id=uuid.uuid4())
    assert [event async for event in trigger.run()]
    assert agents(local)["CreateRun"] == {"triggerer"}
