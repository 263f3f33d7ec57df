"""Ends of tasks and their runs in a real scheduler and triggerer."""

from __future__ import annotations

import pytest
from harness import STARTS_FROM_TRIGGER, Session, expect_refusal_of_start_from_trigger, processes_of

from dev.airflow_rest import wait_until


@pytest.mark.parametrize(
    ("dag_id", "waits_in"), [("killed_while_deferred", "deferred"), ("killed_while_running", "running")]
)
def test_marking_a_task_failed_cancels_its_run(session: Session, dag_id: str, waits_in: str) -> None:
    run_id = session.run_id(dag_id)
    session.wait_for_state(run_id, "IN_PROGRESS", timeout=120)
    session.rest.wait_for_task(dag_id, session.dag_run, "run", [waits_in])
    assert processes_of(run_id)
    assert not session.requests("DELETE", run_id)

    session.rest.set_task_state(dag_id, session.dag_run, "run", "failed")

    session.wait_for_state(run_id, "CANCELED")
    assert session.requests("DELETE", run_id)
    wait_until(lambda: not processes_of(run_id), f"the processes of {run_id} to end", timeout=5)
    assert session.rest.wait_for_run(dag_id, session.dag_run) == "failed"
    assert session.rest.task(dag_id, session.dag_run, "run")["state"] == "failed"


@pytest.mark.parametrize("dag_id", ["deferrable_success", "waiting_success"])
def test_successful_run_succeeds_task(session: Session, dag_id: str) -> None:
    assert session.rest.wait_for_run(dag_id, session.dag_run) == "success"

    run_id = session.run_id(dag_id)
    assert session.local.run(run_id).lifecycle_state == "SUCCEEDED"
    assert session.rest.xcom(dag_id, session.dag_run, "run") == run_id
    log = session.rest.log_text(dag_id, session.dag_run, "run")
    assert run_id in log
    assert "stdout: outcome has ended" in log
    assert "stderr: sleeping for 1.0 seconds" in log
    assert not session.requests("DELETE", run_id)


def test_deferrable_task_releases_its_worker(session: Session) -> None:
    session.rest.wait_for_run("deferrable_success", session.dag_run)
    log = session.rest.log_text("deferrable_success", session.dag_run, "run")
    assert "Pausing task as DEFERRED" in log

    session.rest.wait_for_run("waiting_success", session.dag_run)
    log = session.rest.log_text("waiting_success", session.dag_run, "run")
    assert "Pausing task as DEFERRED" not in log


def test_task_starts_in_triggerer(session: Session) -> None:
    if not STARTS_FROM_TRIGGER:
        expect_refusal_of_start_from_trigger()
        return
    assert session.rest.wait_for_run("from_triggerer", session.dag_run) == "success"

    run_id = session.run_id("from_triggerer")
    assert session.rest.xcom("from_triggerer", session.dag_run, "run") == run_id
    run = session.local.run(run_id)
    assert run.execute.endswith("--sleep 1"), "rendered in the triggerer"
    assert run.freeform_tags["airflow_dag_id"] == "from_triggerer"
    log = session.rest.log_text("from_triggerer", session.dag_run, "run")
    assert log.count("Submitting a run (CreateRun)") == 1
    assert "stdout: outcome has ended" in log
    assert "Pausing task as DEFERRED" not in log, "no worker has started it"
    links = session.rest.links("from_triggerer", session.dag_run, "run")
    assert links["Data Flow run"] == f"{session.local.endpoint}/console/runs/{run_id}"


def test_failed_run_reports_its_error(session: Session) -> None:
    assert session.rest.wait_for_run("deferrable_failure", session.dag_run) == "failed"

    run_id = session.run_id("deferrable_failure")
    log = session.rest.log_text("deferrable_failure", session.dag_run, "run")
    error = log[log.index("RunFailed") :]
    assert run_id in error
    assert "FAILED" in error
    assert "ValueError: no such luck" in error


def test_error_names_missing_main_file(session: Session) -> None:
    assert session.rest.wait_for_run("missing_main_file", session.dag_run) == "failed"

    log = session.rest.log_text("missing_main_file", session.dag_run, "run")
    assert "oci://tests@local/nowhere.py" in log
