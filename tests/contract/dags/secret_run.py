"""A DAG whose run meets marked secrets everywhere; run with ``dag.test()`` by test_secrets.py."""

from __future__ import annotations

import logging
import pickle
import sys

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.operators.application import CreateOrUpdateApplicationOperator
from airflow_provider_dataflow.operators.manage_run import GetRunOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.sensors.run import RunSensor
from airflow_provider_dataflow.triggers.run import RunTrigger

log = logging.getLogger(__name__)

# Its name tells Airflow nothing.
PARAMETER = "{{ var.value.marked }}"

with DAG("secret_run", schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")) as dag:
    common = {
        "execute": "--conf spark.app.password={{ var.value.marked_setting }} oci://b@ns/app.py "
        "--api-token {{ var.value.marked_argument }} --password " + PARAMETER,
        "poll_interval": 1,
    }
    succeeds = InvokeRunOperator(
        task_id="succeeds",
        display_name="succeeds",
        deferrable=True,
        parameters={"db_password": PARAMETER},
        **common,
    )
    listed = InvokeRunOperator(
        task_id="listed",
        display_name="succeeds",
        deferrable=False,
        parameters=[{"name": "db_password", "value": PARAMETER}],
        json={"configuration": {"spark.hadoop.password": "{{ var.value.marked_setting }}"}},
        **common,
    )
    fails = InvokeRunOperator(
        task_id="fails",
        display_name="fails",
        deferrable=False,
        parameters={"db_password": PARAMETER},
        **common,
    )

    mapped = InvokeRunOperator.partial(
        task_id="mapped",
        display_name="succeeds",
        deferrable=True,
        parameters=f'[{{"name": "db_password", "value": "{PARAMETER}"}}]',
        **common,
    ).expand(freeform_tags=[{"n": "1"}])
    sensor = RunSensor(task_id="sensor", run_id=listed.output, deferrable=True, fetch_logs="always")
    read = GetRunOperator(task_id="read", run_id=listed.output)
    application = CreateOrUpdateApplicationOperator(
        task_id="application",
        display_name="application",
        driver_shape="VM.Standard2.1",
        executor_shape="VM.Standard2.1",
        language="PYTHON",
        num_executors=1,
        spark_version="3.5.0",
        execute=common["execute"],
        parameters=[{"name": "db_password", "value": PARAMETER}],
    )

    @task
    def shows_what_it_can() -> list[str]:
        """A careless author: all that can be shown of hooks and triggers goes into the log, and into XCom."""
        shown = []
        for hook in (DataFlowHook(), DataFlowHook("oci_broken"), DataFlowHook("oci_denied")):
            try:
                hook.access.prepare()
                next(hook.list_runs(), None)
            except Exception as error:
                log.exception("as every author may")
                pickle.dumps(error)
                shown.append(repr(error))
            shown += [repr(hook), repr(hook.access), repr(vars(hook.access)), str(hook.connection_key)]
        trigger = RunTrigger("ocid1.run")
        shown += [repr(trigger.serialize()), repr(vars(trigger))]
        log.info("shown %s", "\n".join(shown))
        return shown

    @task
    def pushes_a_hook() -> dict[str, object]:
        hook = DataFlowHook()
        next(hook.list_runs(), None)
        log.info("a hook: %s", vars(hook))
        return vars(hook)

    shows_what_it_can()
    pushes_a_hook()


if __name__ == "__main__":
    run = dag.test()
    print("ended", {ti.task_id: str(ti.state) for ti in run.get_task_instances()}, file=sys.stderr)
