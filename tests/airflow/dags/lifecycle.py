"""One DAG for each end of a task and its run."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.assets.oci import create_asset
from airflow_provider_dataflow.compat import triggers_have_on_kill
from airflow_provider_dataflow.operators.run import InvokeRunOperator

APP = "oci://tests@local/outcome.py"
OUTPUT = create_asset(bucket="tests", namespace="local", name="output/")

CASES: dict[str, dict[str, Any]] = {
    "deferrable_success": {
        "execute": f"--conf spark.test.password=hush-hush {APP} --sleep 1",
        "deferrable": True,
        "outlets": [OUTPUT],
    },
    "talkative": {"execute": f"{APP} --talk-until {{{{ var.value.stop_file }}}}", "deferrable": True},
    "from_triggerer": {
        "execute": f"{APP} --sleep {{{{ params.seconds }}}}",
        "params": {"seconds": 1},
        "start_from_trigger": True,
    },
    "waiting_success": {"execute": f"{APP} --sleep 1", "deferrable": False},
    "deferrable_failure": {
        "execute": f"{APP} --fail 'no such luck'",
        "deferrable": True,
        "outlets": [OUTPUT],
    },
    "missing_main_file": {"execute": "oci://tests@local/nowhere.py", "deferrable": True},
    "killed_while_deferred": {"execute": f"{APP} --sleep 600", "deferrable": True},
    "killed_while_running": {"execute": f"{APP} --sleep 600", "deferrable": False},
}

if not triggers_have_on_kill():
    # Before Airflow 3.3, the argument is refused.
    del CASES["from_triggerer"]

for name, arguments in CASES.items():
    with DAG(name, schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")) as dag:
        InvokeRunOperator(task_id="run", display_name=name, poll_interval=2, **arguments)
    globals()[name] = dag
