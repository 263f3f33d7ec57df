"""Tasks that succeed in all supported ways, and tasks whose submit is refused."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.compat import triggers_have_on_kill
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.sensors.run import RunSensor

APP = "oci://tests@local/outcome.py"
NOPE = "ocid1.dataflowapplication.oc1.iad.nope"
START = pendulum.datetime(2013, 1, 1, tz="UTC")
SETTINGS = {"poll_interval": 2, "retry_delay": timedelta(seconds=1)}

with DAG("quiet", schedule=None, start_date=START):
    submitted = InvokeRunOperator(task_id="submitted", execute=APP, wait_for_completion=False, **SETTINGS)
    for deferrable in (False, True):
        where = "triggerer" if deferrable else "worker"
        InvokeRunOperator(
            task_id=f"bucket_{where}",
            execute=APP,
            logs_bucket_uri="oci://tests@local/",
            deferrable=deferrable,
            **SETTINGS,
        )
        RunSensor(
            task_id=f"sensor_{where}",
            run_id=submitted.output,
            deferrable=deferrable,
            poke_interval=2,
        )
    InvokeRunOperator.partial(task_id="mapped", deferrable=True, **SETTINGS).expand(
        execute=[f"{APP} --sleep 1", APP]
    )
    InvokeRunOperator(
        task_id="retried",
        execute="oci://tests@local/{{ 'nowhere' if ti.try_number == 1 else 'outcome' }}.py",
        deferrable=True,
        retries=1,
        **SETTINGS,
    )
    if triggers_have_on_kill():  # Airflow 3.3 and newer
        InvokeRunOperator(task_id="from_triggerer", execute=APP, start_from_trigger=True, **SETTINGS)

with DAG("refused", schedule=None, start_date=START):
    InvokeRunOperator(task_id="worker", application_id=NOPE)
    if triggers_have_on_kill():
        InvokeRunOperator(task_id="triggerer", application_id=NOPE, start_from_trigger=True)
    RunSensor(
        task_id="sensor",
        run_id="ocid1.dataflowrun.oc1.iad.nope",
        error_budget=0.001,
        poke_interval=1,
        deferrable=True,
    )
