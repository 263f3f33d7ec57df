"""One single-task DAG for each case and operator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, get_parsing_context

from benchmarks.faults.cases import CASES

POLL_INTERVAL_SECONDS = 2


def dataflow(connection: str, **arguments: Any) -> Any:
    from airflow_provider_dataflow.operators.run import InvokeRunOperator

    return InvokeRunOperator(
        oci_conn_id=connection,
        execute="oci://faults@local/app.py",
        poll_interval=POLL_INTERVAL_SECONDS,
        **arguments,
    )


def databricks(connection: str, **arguments: Any) -> Any:
    from airflow.providers.databricks.operators.databricks import (  # type: ignore[import-not-found]
        DatabricksSubmitRunOperator,
    )

    return DatabricksSubmitRunOperator(
        databricks_conn_id=connection,
        existing_cluster_id="benchmark",
        spark_python_task={"python_file": "dbfs:/app.py"},
        polling_period_seconds=POLL_INTERVAL_SECONDS,
        **arguments,
    )


def emr(connection: str, **arguments: Any) -> Any:
    from airflow.providers.amazon.aws.operators.emr import (  # type: ignore[import-not-found]
        EmrServerlessStartJobOperator,
    )

    return EmrServerlessStartJobOperator(
        aws_conn_id=connection,
        application_id="benchmark",
        execution_role_arn="arn:aws:iam::000000000000:role/benchmark",
        job_driver={"sparkSubmit": {"entryPoint": "s3://benchmark/app.py"}},
        waiter_delay=POLL_INTERVAL_SECONDS,
        # Wait as long as by default: 25 polls a minute apart.
        waiter_max_attempts=25 * 60 // POLL_INTERVAL_SECONDS,
        **arguments,
    )


OPERATORS: dict[str, Callable[..., Any]] = {"dataflow": dataflow, "databricks": databricks, "emr": emr}

# A worker parses this file for one DAG only.
wanted = get_parsing_context().dag_id
for operator, make_task in OPERATORS.items():
    for case in CASES:
        dag_id = f"{operator}_{case.name}"
        if wanted not in (None, dag_id):
            continue
        arguments: dict[str, Any] = {"deferrable": True, "retries": 0} | case.arguments
        if "execution_timeout" in arguments:
            arguments["execution_timeout"] = timedelta(seconds=arguments["execution_timeout"])
        with DAG(dag_id, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as dag:
            make_task(dag_id, task_id="run", retry_delay=timedelta(seconds=2), **arguments)
        globals()[dag_id] = dag
