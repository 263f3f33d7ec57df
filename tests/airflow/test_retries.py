"""Retries by the cause of a failure in a real scheduler and triggerer."""

from __future__ import annotations

from typing import Any

import pytest
from harness import STARTS_FROM_TRIGGER, Session

from airflow_provider_dataflow.compat import retry_policies


def runs_of(session: Session, dag_id: str) -> list[Any]:
    """Return the runs of the DAG, oldest first."""
    found = session.local.client.list_runs(session.local.compartment_id, display_name=dag_id).data
    return [session.local.run(run.id) for run in sorted(found, key=lambda run: run.time_created)]


def test_run_after_out_of_memory_is_larger_and_succeeds(session: Session) -> None:
    assert session.rest.wait_for_run("out_of_memory", session.dag_run, timeout=400) == "success"

    first, second = runs_of(session, "out_of_memory")
    assert (first.lifecycle_state, second.lifecycle_state) == ("FAILED", "SUCCEEDED")
    assert first.driver_shape_config.memory_in_gbs == 1
    assert second.driver_shape_config.memory_in_gbs == 2
    assert second.driver_shape_config.ocpus == 1
    assert second.freeform_tags["airflow_on_cause"] == "driver_memory"
    assert session.rest.task("out_of_memory", session.dag_run, "run")["try_number"] == 2
    log = session.rest.log_text("out_of_memory", session.dag_run, "run", 2)
    assert f"Run {first.id} failed (driver_memory): the next run gets" in log


@pytest.mark.parametrize("dag_id", ["missing_module", "missing_module_from_triggerer"])
def test_missing_module_fails_at_once(session: Session, dag_id: str) -> None:
    if dag_id.endswith("from_triggerer") and not STARTS_FROM_TRIGGER:
        pytest.skip("needs start_from_trigger (Airflow 3.3)")
    assert session.rest.wait_for_run(dag_id, session.dag_run, timeout=400) == "failed"

    (run,) = runs_of(session, dag_id)
    assert run.lifecycle_state == "FAILED"
    task = session.rest.task(dag_id, session.dag_run, "run")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    log = session.rest.log_text(dag_id, session.dag_run, "run")
    assert "No module named 'no_such_module'" in log
    reason = "module_missing: the next try would fail" if retry_policies() else "Not retried: module_missing"
    # The policy's reason is a field of the entry, not of its text.
    assert reason in str(session.rest.log(dag_id, session.dag_run, "run"))
