"""User-Agent of all requests of worker and triggerer."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

import airflow
import oci
import pytest

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.pool import CreatePoolOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from airflow_provider_dataflow.triggers.run import RunTrigger
from airflow_provider_dataflow.triggers.run_event import RunEventTrigger
from airflow_provider_dataflow.triggers.statement import StatementTrigger
from airflow_provider_dataflow.triggers.submit import SubmitRunTrigger
from tests.contract.conftest import Target, target_of
from tests.contract.tasks import run_task

EXPECTED = (
    f"Oracle-PythonSDK/{oci.__version__} (python {platform.python_version()}; "
    f"{platform.machine()}-{platform.system()}) apache-airflow/{airflow.__version__} "
    f"airflow-provider-dataflow/{__version__}"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFlowFixture]:
    with DataFlowFixture(tmp_path_factory.mktemp("agents"), engine="scripted") as server:
        yield server


@pytest.fixture
def local(server: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    server.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("airflow_provider_dataflow.triggers.base.PollingTrigger.NO_EVENT_BEFORE_SECONDS", 0)
    return server


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
    assert found["ListRunLogs"] & found["GetRunLog"]


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


@pytest.mark.parametrize("trigger", [RunTrigger, RunEventTrigger, StatementTrigger, SubmitRunTrigger])
def test_hooks_of_triggers_name_the_triggerer(trigger: Any):
    """Also with the synchronous client, for submits and cancels."""
    assert trigger.airflow_component == "triggerer"
    assert InvokeRunOperator.airflow_component == "worker"
