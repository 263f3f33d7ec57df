"""Healthy tasks log nothing above INFO; the log of a refused task ends with its error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import STARTS_FROM_TRIGGER, STORES_STATES, Session, expect_refusal_of_start_from_trigger
from matrix import releases

COMPONENTS = ("scheduler", "triggerer", "api-server", "dag-processor")
#: XComs of the provider. Airflow logs an error when a missing one is read.
KEYS = (
    "run_id",
    "run_page_url",
    "logs_bucket_url",
    "lifecycle_state",
    "log_cursor",
    "deferred_trigger",
    "statement_id",
    "trigger_failures",
    "oci_data_flow_submission",
)
LOUD = re.compile(
    r"\[(?:warning|error|critical|exception)\s*\]|\b(?:WARNING|ERROR|CRITICAL)\b", re.IGNORECASE
)
HEALTHY = {"deferrable_success", "waiting_success", "quiet"} | (
    {"from_triggerer"} if STARTS_FROM_TRIGGER else set()
)


def task_logs(session: Session, dag_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of all logs of a DAG's tasks, from workers and triggerer."""
    folder = session.bench.airflow.home / "logs" / f"dag_id={dag_id}"
    return {
        str(path.relative_to(folder)): [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(folder.rglob("attempt=*"))
        if path.is_file()
    }


def lines_of(session: Session) -> Iterator[str]:
    for name in COMPONENTS:
        path: Path = session.bench.airflow.log_file(name)
        if path.exists():
            yield from (f"{name}: {line}" for line in path.read_text(errors="replace").splitlines())


@pytest.mark.parametrize("dag_id", sorted(HEALTHY))
def test_log_of_healthy_task_has_no_line_above_info(session: Session, dag_id: str) -> None:
    assert session.rest.wait_for_run(dag_id, session.dag_run, timeout=240) == "success"

    logs = task_logs(session, dag_id)
    assert logs
    # Except the try that fails on purpose.
    loud = [
        (name, entry)
        for name, entries in logs.items()
        if not ("task_id=retried" in name and "attempt=1" in name)
        for entry in entries
        if entry.get("level") not in ("debug", "info")
        # Before 3.3, Airflow writes warnings of its own, about names that it has deprecated.
        and (STORES_STATES or "airflow_provider_dataflow" in entry.get("logger", ""))
        # Airflow 3.0 resumes a retry with the first try's event.
        and not (releases.AIRFLOW < (3, 1) and "with the event of an earlier try" in entry["event"])
    ]
    assert loud == []


def test_logs_of_airflow_have_no_line_above_info_about_healthy_tasks(session: Session) -> None:
    for dag_id in HEALTHY:
        session.rest.wait_for_run(dag_id, session.dag_run, timeout=240)
    # Workers write here, too. Except the try that fails on purpose.
    loud = [
        line
        for line in lines_of(session)
        if LOUD.search(line)
        and not ("task_id=retried" in line and "try_number=1" in line)
        # The scheduler's own race between a retry and the event of the try before.
        and "TI try_number mismatch" not in line
    ]
    assert [
        line
        for line in loud
        if "XCom not found" in line and any(f"'{key}'" in line or f"key={key}" in line for key in KEYS)
    ] == []
    assert [line for line in loud if any(re.search(rf"\b{dag_id}\b", line) for dag_id in HEALTHY)] == []


def test_link_without_value_pushes_no_xcom(session: Session) -> None:
    session.rest.wait_for_run("waiting_success", session.dag_run)
    path = f"dags/waiting_success/dagRuns/{session.dag_run}/taskInstances/run/xcomEntries"
    entries = session.rest.request("GET", path)["xcom_entries"]
    keys = {entry["key"] for entry in entries}
    assert "run_page_url" in keys
    assert "logs_bucket_url" not in keys


@pytest.mark.parametrize(
    ("task_id", "error"), [("worker", "SubmitRejected"), ("triggerer", "NotSubmitted"), ("sensor", "RunLost")]
)
def test_log_of_refused_task_ends_with_its_error(session: Session, task_id: str, error: str) -> None:
    if task_id == "triggerer" and not STARTS_FROM_TRIGGER:
        expect_refusal_of_start_from_trigger()
        return
    assert session.rest.wait_for_run("refused", session.dag_run, timeout=240) == "failed"

    entries = [
        entry for entry in session.rest.log("refused", session.dag_run, task_id) if entry.get("error_detail")
    ]
    (last,) = entries
    (detail,) = last["error_detail"]
    assert detail["exc_type"] == error
    message = detail["exc_value"]
    assert "returned 404" in message
    assert "nope" in message
    assert "opc-request-id" in message
    assert "Check the OCIDs" in message
    assert "target_service" not in message
