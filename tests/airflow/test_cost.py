"""Usage and cost of tasks in a real Airflow: in XCom, log, asset event and page."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from harness import Session

from airflow_provider_dataflow.cost.mount import HREF


def usage_of(session: Session, dag_id: str) -> dict[str, Any]:
    session.rest.wait_for_run(dag_id, session.dag_run)
    usage: dict[str, Any] = session.rest.xcom(dag_id, session.dag_run, "run", "usage")
    return usage


@pytest.mark.parametrize("dag_id", ["deferrable_success", "waiting_success", "deferrable_failure"])
def test_cost_is_pushed_and_logged(session: Session, dag_id: str) -> None:
    usage = usage_of(session, dag_id)
    assert usage["gb_hours"] > 0
    assert usage["estimated_cost"] == pytest.approx(36_000 * usage["ocpu_hours"])
    log = session.rest.log_text(dag_id, session.dag_run, "run")
    assert " GB hours, estimated cost " in log
    assert " EUR, read " in log


def test_event_of_an_outlet_describes_the_run(session: Session) -> None:
    """Only that of the task whose run has succeeded."""
    usage = usage_of(session, "deferrable_success")
    usage_of(session, "deferrable_failure")
    events = session.rest.request("GET", "assets/events", params={"limit": 100})["asset_events"]
    (event,) = (event for event in events if event["uri"].startswith("oci://tests"))
    assert event["uri"].replace("%40", "@") == "oci://tests@local/output"
    assert (event["source_dag_id"], event["source_run_id"]) == ("deferrable_success", session.dag_run)
    run = session.local.run(session.run_id("deferrable_success"))
    known = {name: value for name, value in usage.items() if value is not None}
    assert event["extra"] == {
        **known,
        "run_id": run.id,
        "application_id": run.application_id,
        "display_name": "deferrable_success",
        "state": "SUCCEEDED",
    }


def test_page_counts_what_the_tasks_have_recorded(session: Session) -> None:
    usage = usage_of(session, "deferrable_success")
    token = httpx.get(f"{session.rest.base_url}/auth/token", timeout=60).json()["access_token"]
    page = httpx.get(
        f"{session.rest.base_url}/{HREF}",
        params={"dag_id": "deferrable_success"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert page.status_code == 200
    assert "<dd>1</dd>" in page.text
    assert f"<dd>{usage['ocpu_hours']:,.2f}</dd>" in page.text
    assert " EUR</dd>" in page.text
