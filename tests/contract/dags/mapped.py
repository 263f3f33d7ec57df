"""A DAG whose tasks get ``execute`` from an upstream task, in every form; run by test_mapped.py."""

from __future__ import annotations

import sys
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_dataflow.operators.application import CreateOrUpdateApplicationOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.sensors.run import RunSensor

with DAG("mapped", schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")) as dag:

    @task
    def command() -> str:
        return "oci://b@ns/upstream.py --day 2013-01-01"

    @task
    def commands() -> list[str]:
        return ["oci://b@ns/first.py", "oci://b@ns/second.py"]

    @task
    def items() -> list[dict[str, Any]]:
        return [
            {"execute": "oci://b@ns/third.py", "display_name": "items"},
            {"execute": "oci://b@ns/fourth.py", "display_name": "items", "num_executors": 2},
        ]

    @task
    def states() -> list[str]:
        return ["SUCCEEDED"]

    @task
    def ignored() -> None:
        """Tasks without an upstream of their own start before the tasks that they need, if links are lost."""

    common: dict[str, Any] = {"poll_interval": 1, "fetch_logs": "never"}
    InvokeRunOperator(task_id="plain", display_name="plain", execute=command(), **common)
    partial = InvokeRunOperator.partial(
        task_id="partial", display_name="partial", execute=command(), deferrable=True, **common
    ).expand(freeform_tags=[{"n": "1"}, {"n": "2"}])
    InvokeRunOperator.partial(task_id="expand", display_name="expand", **common).expand(execute=commands())
    InvokeRunOperator.partial(task_id="literal", display_name="literal", **common).expand(
        execute=["oci://b@ns/{{ 'fifth' }}.py", command()]
    )
    InvokeRunOperator.partial(task_id="expand_kwargs", **common).expand_kwargs(items())
    InvokeRunOperator.partial(task_id="beside", execute=command(), **common).expand_kwargs(
        [{"display_name": "beside", "num_executors": "{{ 1 + 1 }}"}]
    )
    RunSensor.partial(task_id="sensor", target_states=states()).expand(run_id=partial.output)
    of_application: dict[str, Any] = {
        "driver_shape": "VM.Standard2.1",
        "executor_shape": "VM.Standard2.1",
        "language": "PYTHON",
        "num_executors": 1,
        "spark_version": "3.5.0",
    }
    CreateOrUpdateApplicationOperator.partial(
        task_id="application", execute=command(), **of_application
    ).expand(display_name=["a", "b"])


if __name__ == "__main__":
    run = dag.test()
    ended = [(ti.task_id, ti.map_index, str(ti.state)) for ti in run.get_task_instances()]
    print("ended", sorted(ended), file=sys.stderr)
