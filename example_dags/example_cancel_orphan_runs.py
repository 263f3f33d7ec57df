"""Maintenance: every half hour, cancel the runs whose task is gone.

Airflow cannot cancel the run of a task that was killed before its trigger started, or of a cancelled
backfill. This DAG finds such runs by their tags.

If several Airflow deployments share a compartment, set a different ``[oci_data_flow] deployment_id`` in each.
"""

from __future__ import annotations

# [START howto_operator_cancel_orphan_runs]
from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.orphans import CancelOrphanRunsOperator

with DAG(
    dag_id="example_cancel_orphan_runs",
    description="Cancel the runs whose task is gone",
    schedule=timedelta(minutes=30),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    CancelOrphanRunsOperator(task_id="cancel_orphan_runs", min_age_in_minutes=15)
# [END howto_operator_cancel_orphan_runs]
