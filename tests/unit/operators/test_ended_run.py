from __future__ import annotations

import logging

import pytest

from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS
from airflow_provider_dataflow.exceptions import (
    LOG_TAIL_LINES,
    InvalidArgument,
    RunCanceled,
    RunFailed,
    RunStopped,
    ServiceError,
)
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.operators.ended_run import error_of_run, finish_wait
from tests.unit.support import RUN_ID, run_body

STDOUT = "spark_application_stdout.log.gz"


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "task")
    return logging.getLogger("task")


def run(state="FAILED", **fields) -> Run:
    return Run.from_api(run_body(state, **fields))


@pytest.mark.parametrize(
    ("state", "kind"),
    [("FAILED", RunFailed), ("CANCELED", RunCanceled), ("STOPPED", RunStopped), ("VANISHED", RunFailed)],
)
def test_error_contains_run_details_hint_and_stderr(client, log, state, kind):
    client.stderr = "".join(f"line {n}\n" for n in range(100))
    details = "LimitExceeded: standard-e4-core-count"
    error = error_of_run(run(state, lifecycleDetails=details, opcRequestId="req"), DataFlowHook(), log)
    assert type(error) is kind
    assert (error.run_id, error.state, error.lifecycle_details) == (RUN_ID, state, details)
    assert error.opc_request_id == "req"
    assert RUN_ID in error.url
    assert "limit or quota" in error.hint
    assert error.log_tail.splitlines() == [f"line {n}" for n in range(100 - LOG_TAIL_LINES, 100)]


def test_hint_is_found_far_above_the_end_of_stderr(client, log):
    client.stderr = "java.lang.OutOfMemoryError: Java heap space\n" + "\tat x\n" * 200
    error = error_of_run(run(lifecycleDetails="exit code 1"), DataFlowHook(), log)
    assert "The driver ran out of memory" in error.hint
    assert "OutOfMemoryError" not in error.log_tail


def test_unreadable_log_adds_one_warning_and_keeps_the_error(client, log, mocker, caplog):
    mocker.patch.object(client, "list_run_logs", side_effect=ServiceError(operation="x", message="later"))
    error = error_of_run(run(), DataFlowHook(), log)
    assert (error.hint, error.log_tail) == (None, None)
    assert f"hint: {RunFailed.advice}" in str(error)
    assert len([record for record in caplog.records if record.name == log.name]) == 1


def test_output_copied_during_the_run_is_not_copied_again(client, log, caplog):
    client.stdout = "one\ntwo\n"
    ended, cursor = run("SUCCEEDED"), {STDOUT: 4}
    finish_wait(ended, DataFlowHook(), log, fetch_logs="always", reached_target=True, log_cursor=cursor)
    assert caplog.messages == [f"Driver's stdout ({STDOUT}):", "two"]


def test_secrets_in_driver_output_are_hidden(client, log, caplog):
    """Airflow's masker has no effect on the copy of the log that an executor may print."""
    client.stdout = client.stderr = "as MARKED-1\n"
    ended = run(arguments=["--token", "MARKED-1"])
    with pytest.raises(RunFailed) as e:
        finish_wait(ended, DataFlowHook(), log, fetch_logs="always", reached_target=False)
    assert e.value.log_tail == "as ***"
    assert "as ***" in caplog.messages
    assert "MARKED-1" not in caplog.text


def test_error_of_invalid_state_shows_no_secret():
    with pytest.raises(InvalidArgument) as e:
        TASK_SETTINGS["target_states"].read("--password MARKED-1", "target_states")
    assert "MARKED-1" not in str(e.value)


def test_secrets_in_details_are_hidden_in_the_error(client, log):
    details = "bad args [--password, hunter2secret] of s3cret-word: No module named 'hunter2secret'"
    ended = run(lifecycleDetails=details, arguments=["--password", "hunter2secret"])
    error = error_of_run(ended, DataFlowHook(), log, secrets={"s3cret-word"})
    assert error.lifecycle_details == "bad args [--password, ***] of ***: No module named '***'"
    for text in (str(error), repr(error)):
        assert "hunter2secret" not in text
        assert "s3cret-word" not in text
