"""Twenty tasks whose runs take about half a minute; every second task is deferrable."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.run import InvokeRunOperator

with DAG(
    "chaos",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    max_active_runs=5,
):
    for number in range(20):
        InvokeRunOperator(
            task_id=f"run_{number:02}",
            # With execute, the configuration argument has no effect.
            execute=(
                "--conf spark.dataflow.emulator.startup=2 "
                f"--conf spark.dataflow.emulator.duration={20 + 2 * number} oci://chaos@local/app.py"
            ),
            deferrable=number % 2 == 0,
            poll_interval=2,
            retries=50,
            retry_delay=timedelta(seconds=2),
        )
