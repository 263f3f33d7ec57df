"""Copy of the driver's output into the task's log, during the run and at its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest

from airflow_provider_dataflow.client.logs.cursor import LogCursor, LogLimits
from airflow_provider_dataflow.client.logs.follower import AsyncLogFollower, LogFollower
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.rules import Rule, RunScript
from airflow_provider_dataflow.operators.ended_run import finish_wait
from tests.contract.conftest import target_of

STDOUT, STDERR = "spark_application_stdout.log.gz", "spark_application_stderr.log.gz"


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("scripted"), engine="scripted") as server:
        yield server


@pytest.fixture
def task_log(caplog):
    caplog.set_level(logging.INFO, "task")
    return logging.getLogger("task")


@pytest.fixture
def hook_of(monkeypatch):
    def make(server: LocalDataFlow) -> DataFlowHook:
        monkeypatch.setenv("AIRFLOW_CONN_OCI_DEFAULT", server.connection_json)
        return DataFlowHook()

    return make


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "task"]


@pytest.mark.spark
async def test_lines_appear_while_the_run_is_in_progress(local, target, hook_of, task_log, caplog, tmp_path):
    hook, gate = hook_of(local), tmp_path / "gate"
    application = target.create_application("talks.py", arguments=[str(gate)])
    run_id = target.submit(application.id).id
    async with await hook.async_client() as client:
        follower = AsyncLogFollower(client, run_id, task_log)
        deadline = time.monotonic() + 60
        while not {"begun", "a warning"} <= set(said(caplog)):
            assert time.monotonic() < deadline
            follower._next_look = 0.0
            await follower.copy_new()
            await asyncio.sleep(0.05)
    assert hook.get_run(run_id).state == "IN_PROGRESS"
    assert "half a li" not in said(caplog)

    # The worker continues from the triggerer's cursor, with the stored logs.
    caplog.clear()
    gate.touch()
    assert target.wait(run_id).lifecycle_state == "SUCCEEDED"
    finish_wait(
        hook.get_run(run_id),
        hook,
        task_log,
        fetch_logs="always",
        reached_target=True,
        log_cursor=follower.cursor,
    )
    assert said(caplog) == [f"Driver's stdout ({STDOUT}):", "half a line", "done"]


@pytest.mark.parametrize("way", ["worker", "triggerer"])
async def test_long_log_is_copied_up_to_its_limits(scripted, hook_of, task_log, caplog, monkeypatch, way):
    monkeypatch.setattr(LogCursor, "limits", LogLimits(head_bytes=10_000, tail_bytes=5_000))
    lines = [f"line {n:05d}" for n in range(10_000)]
    scripted.set_rules(
        [Rule(attempts=[RunScript(outcome="IN_PROGRESS", stdout="\n".join(lines), stderr="e")])]
    )
    target, hook = target_of(scripted), hook_of(scripted)
    run_id = target.submit(target.create_application("hello.py").id).id
    target.wait(run_id, lambda run: run.lifecycle_state == "IN_PROGRESS")
    if way == "worker":
        follower = LogFollower(hook, run_id, task_log)
        follower.copy_new()
    else:
        async with await hook.async_client() as client:
            follower = AsyncLogFollower(client, run_id, task_log)
            await follower.copy_new()
    heading, *copied, note = said(caplog)
    assert heading == f"Driver's stdout ({STDOUT}):"
    assert [*copied, ""] == [*lines[:909], "l", ""]
    assert note == f"... the rest of {STDOUT} follows when the run has ended ..."

    caplog.clear()
    hook.cancel_run(run_id)
    target.wait(run_id)
    LogFollower(hook, run_id, task_log, cursor=follower.cursor).copy_rest()
    heading, note, *copied, error_heading, error = said(caplog)
    assert note.startswith("... ")
    assert note.endswith(f" bytes of {STDOUT} omitted ...")
    assert copied == lines[-len(copied) :]
    assert 400 < len(copied) < 500
    assert (error_heading, error) == (f"Driver's stderr ({STDERR}):", "e")


def test_unreadable_logs_do_not_change_the_outcome(scripted, hook_of, task_log, caplog):
    scripted.set_rules([Rule(attempts=[RunScript(stdout="42 rows\n", stderr="a warning\n")])])
    target, hook = target_of(scripted), hook_of(scripted)
    run = target.wait(target.submit(target.create_application("hello.py").id).id)
    fault = scripted.add_fault("status", operation="GetRunLog", status=404)
    finish_wait(hook.get_run(run.id), hook, task_log, fetch_logs="always", reached_target=True)
    (warning,) = said(caplog)
    assert warning.startswith(f"Run {run.id}: cannot read its log {STDOUT}: GetRunLog at http")
    scripted.clear_faults(fault)
    caplog.clear()
    finish_wait(hook.get_run(run.id), hook, task_log, fetch_logs="always", reached_target=True)
    assert said(caplog) == [
        f"Driver's stdout ({STDOUT}):",
        "42 rows",
        f"Driver's stderr ({STDERR}):",
        "a warning",
    ]
