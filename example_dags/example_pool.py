"""A pool around runs: created before the first one, stopped after the last one, whatever becomes of them.

Runs in a pool start within a minute or two, rather than ten. The pool costs as long as it is active, so it is
set up and torn down with the DAG run: Airflow runs a teardown task also when the tasks between have failed,
and takes the DAG run's state from those.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.pool import CreatePoolOperator, StopPoolOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"
SHAPE = "VM.Standard.E4.Flex"
SHAPE_CONFIG = {"ocpus": 1, "memory_in_gbs": 16}

with DAG(
    dag_id="example_pool",
    description="Two runs on OCI Data Flow in a pool that is set up and torn down around them",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    # The pool is one for all: a second DAG run's pool would be stopped by the first one's teardown.
    max_active_runs=1,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    # [START howto_operator_pool]
    create_pool = CreatePoolOperator(
        task_id="create_pool",
        display_name="weather",
        # A driver and an executor for each of two runs.
        configurations=[{"shape": SHAPE, "shape_config": SHAPE_CONFIG, "min": 1, "max": 4}],
        idle_timeout_in_minutes=60,
        deferrable=True,
        poll_interval=10,
    )
    stop_pool = StopPoolOperator(
        task_id="stop_pool",
        pool_id=create_pool.output,
        deferrable=True,
        poll_interval=10,
    )
    months = [
        InvokeRunOperator(
            task_id=f"month_{month}",
            execute=(
                f"{BUCKET}/apps/monthly_weather.py"
                f" --input {BUCKET}/nyc_weather/2013-{month}.csv"
                f" --output {BUCKET}/monthly/month=2013-{month}/"
            ),
            pool_id=create_pool.output,
            driver_shape=SHAPE,
            driver_shape_config=SHAPE_CONFIG,
            executor_shape=SHAPE,
            executor_shape_config=SHAPE_CONFIG,
            num_executors=1,
            deferrable=True,
            poll_interval=10,
        )
        for month in ("04", "05")
    ]
    create_pool >> months >> stop_pool.as_teardown(setups=create_pool)
    # [END howto_operator_pool]
