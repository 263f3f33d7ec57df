"""Logs, links and XComs of a task, read through the API that Airflow's UI uses."""

from __future__ import annotations

import re

import pytest
from harness import Session

from dev.airflow_rest import wait_until


def test_driver_output_is_copied_during_the_run(session: Session) -> None:
    """The triggerer copies it while the task is deferred."""
    run_id = session.run_id("talkative")
    wait_until(
        lambda: "stdout: line 1\n" in session.rest.log_text("talkative", session.dag_run, "run"),
        "the first line of an active run",
        timeout=120,
    )
    assert session.local.run(run_id).lifecycle_state == "IN_PROGRESS"
    assert session.rest.task("talkative", session.dag_run, "run")["state"] == "deferred"

    session.stop_file.touch()

    assert session.rest.wait_for_run("talkative", session.dag_run) == "success"
    lines = re.findall(r"stdout: line \d+$", session.rest.log_text("talkative", session.dag_run, "run"), re.M)
    assert len(lines) > 1
    assert lines == [f"stdout: line {number}" for number in range(1, len(lines) + 1)], "each line once"


@pytest.mark.parametrize("dag_id", ["deferrable_success", "waiting_success", "deferrable_failure"])
def test_links_lead_to_run_and_logs_bucket(session: Session, dag_id: str) -> None:
    run_id = session.run_id(dag_id)
    session.rest.wait_for_run(dag_id, session.dag_run)
    links = session.rest.links(dag_id, session.dag_run, "run")
    assert links["Data Flow run"] == f"{session.local.endpoint}/console/runs/{run_id}"
    assert not links["Logs bucket"], "Local Data Flow has no page for buckets"


def test_link_exists_as_soon_as_the_run(session: Session) -> None:
    run_id = session.run_id("killed_while_running")
    link = wait_until(
        lambda: session.rest.links("killed_while_running", session.dag_run, "run").get("Data Flow run"),
        "the link of a task that waits",
        timeout=60,
    )
    assert link.endswith(run_id)


@pytest.mark.parametrize(
    ("dag_id", "state"), [("deferrable_success", "SUCCEEDED"), ("deferrable_failure", "FAILED")]
)
def test_state_and_usage_are_pushed_and_logged(session: Session, dag_id: str, state: str) -> None:
    session.rest.wait_for_run(dag_id, session.dag_run)
    assert session.rest.xcom(dag_id, session.dag_run, "run", "lifecycle_state") == state
    usage = session.rest.xcom(dag_id, session.dag_run, "run", "usage")
    assert usage["run_seconds"] > 0
    assert usage["ocpu_hours"] > 0
    assert re.search(r"queued .*, ran .* OCPU hours", session.rest.log_text(dag_id, session.dag_run, "run"))


def test_request_is_logged_once_without_secrets(session: Session) -> None:
    session.rest.wait_for_run("deferrable_success", session.dag_run)
    log = session.rest.log_text("deferrable_success", session.dag_run, "run")
    assert log.count("Submitting a run (CreateRun)") == 1
    assert "spark.test.password" in log
    assert "hush-hush" not in log


def test_run_has_tags_of_its_task(session: Session) -> None:
    run = session.local.run(session.run_id("deferrable_success"))
    tags = run.freeform_tags
    assert {name: tags[f"airflow_{name}"] for name in ("dag_id", "run_id", "task_id", "try_number")} == {
        "dag_id": "deferrable_success",
        "run_id": session.dag_run,
        "task_id": "run",
        "try_number": "1",
    }
    assert tags["airflow_deployment"] == session.bench.airflow.url
