"""Tasks with many retries whose runs fail for a known cause: with the retry policy where Airflow has one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.compat import retry_policies, triggers_have_on_kill
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.retries.policy import DataFlowRetryPolicy

APP = "oci://tests@local/outcome.py"
SHAPE = "VM.Standard.E4.Flex"

CASES: dict[str, dict[str, Any]] = {
    "out_of_memory": {
        "execute": f"{APP} --hold 1000",
        "driver_shape": SHAPE,
        "driver_shape_config": {"ocpus": 1, "memory_in_gbs": 1},
        "executor_shape": SHAPE,
        "executor_shape_config": {"ocpus": 1, "memory_in_gbs": 1},
        "on_cause": {"driver_memory": {"driver_shape_config": {"memory_in_gbs": 2}}},
    },
    "missing_module": {"execute": f"{APP} --import no_such_module"},
    "missing_module_from_triggerer": {
        "execute": f"{APP} --import no_such_module",
        "start_from_trigger": True,
    },
}

if not triggers_have_on_kill():
    # Before Airflow 3.3, the argument is refused.
    del CASES["missing_module_from_triggerer"]

decides: dict[str, Any] = (
    {"retry_policy": DataFlowRetryPolicy()} if retry_policies() else {"retry_permanent_errors": False}
)

for name, arguments in CASES.items():
    with DAG(name, schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")) as dag:
        InvokeRunOperator(
            task_id="run",
            display_name=name,
            poll_interval=2,
            deferrable=True,
            retries=5,
            retry_delay=timedelta(seconds=1),
            **decides,
            **arguments,
        )
    globals()[name] = dag
