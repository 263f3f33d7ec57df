"""A year of nightly runs of about a minute, in one DAG for each mode of waiting."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_dataflow.operators.run import InvokeRunOperator

MODES: dict[str, dict[str, Any]] = {
    "in_worker": {"deferrable": False},
    "deferrable": {"deferrable": True},
    "start_from_trigger": {"start_from_trigger": True},
}

for mode, arguments in MODES.items():
    with DAG(
        mode,
        schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
        start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
        end_date=pendulum.datetime(2013, 12, 31, tz="UTC"),
        catchup=False,
        max_active_runs=365,
        # Default: 16. Counts tasks that are queued or in a worker, but not deferred ones.
        max_active_tasks=365,
    ) as dag:
        InvokeRunOperator(
            task_id="run",
            display_name="night {{ data_interval_start.date() }}",
            # In progress for 40 to 70 seconds.
            execute=(
                "--conf spark.dataflow.emulator.startup=5 --conf spark.dataflow.emulator.duration="
                "{{ 40 + data_interval_start.day_of_year * 37 % 31 }} oci://backfill@local/app.py"
            ),
            poll_interval=15,
            **arguments,
        )
    globals()[mode] = dag
