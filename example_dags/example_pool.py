"""Runs in a pool that is created before the first run and stopped after the last one, even if runs fail.

Runs in a pool start within one or two minutes instead of ten. An active pool costs money, so the DAG run sets
it up and tears it down. Airflow runs a teardown task even if the tasks before it have failed, and derives the
DAG run's state from those tasks.
"""

from __future__ import annotations

# [START howto_operator_pool]
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
    # All DAG runs share the pool: the teardown of one would stop it for the others.
    max_active_runs=1,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    create_pool = CreatePoolOperator(
        task_id="create_pool",
        display_name="weather",
        # One driver and one executor for each of two runs.
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
