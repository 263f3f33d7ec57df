"""One task for each way in which a run gets OpenLineage's properties. Spark writes its events to a file."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.compat import triggers_have_on_kill
from airflow_provider_dataflow.operators.run import InvokeRunOperator

APP = "oci://tests@local/transfer.py"
INPUT = "oci://tests@local/input/"
#: Properties that an author sets for the listener: its class, its jar, and where the events go.
LISTENER: dict[str, str] = json.loads(os.environ["LINEAGE_LISTENER"])
OPTIONS = " ".join(f"--conf {name}={value}" for name, value in LISTENER.items())


def arguments(task: str, *more: str) -> list[str]:
    return ["--input", INPUT, "--output", f"oci://tests@local/output/{task}/", *more]


def run(task_id: str, **fields: Any) -> InvokeRunOperator:
    return InvokeRunOperator(task_id=task_id, poll_interval=1, fetch_logs="never", **fields)


with DAG("lineage", schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")):
    APPLICATION = "{{ var.value.lineage_application }}"
    # The listener is in the configuration of the application, which the run's must not replace.
    run("application", application_id=APPLICATION, arguments=arguments("application"), deferrable=True)
    run("command_line", execute=f"{OPTIONS} {APP} {' '.join(arguments('command_line'))}")
    InvokeRunOperator.partial(
        task_id="mapped", application_id=APPLICATION, poll_interval=1, fetch_logs="never", deferrable=True
    ).expand(arguments=[arguments("mapped/0"), arguments("mapped/1")])
    run(
        "retried",
        application_id=APPLICATION,
        arguments=arguments("retried", "--fail", "{{ 'yes' if ti.try_number == 1 else 'no' }}"),
        retries=1,
        retry_delay=timedelta(seconds=1),
    )
    run(
        "no_answer",
        oci_conn_id="oci_no_answer",
        application_id=APPLICATION,
        arguments=arguments("no_answer"),
        configuration=LISTENER,
        # A try gives up after its second submit.
        error_budget=0.001,
        retries=3,
        retry_delay=timedelta(seconds=1),
    )
    if triggers_have_on_kill():
        run(
            "from_triggerer",
            execute=f"{OPTIONS} {APP} {' '.join(arguments('from_triggerer'))}",
            start_from_trigger=True,
        )
