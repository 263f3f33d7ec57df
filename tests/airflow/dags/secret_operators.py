"""Two DAGs in which every operator and sensor of the package receives marked secrets, plain and mapped.

In ``secrets_of_all``, every templated argument contains one, and each task fails because its connection does
not exist, after its templates are rendered. In ``secrets_at_work``, the tasks succeed, deferred where
possible, and the drivers of their runs print the secrets.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import DAG, task

from airflow_provider_dataflow import operators, sensors
from airflow_provider_dataflow.compat import triggers_have_on_kill
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.operators.application import CreateOrUpdateApplicationOperator
from airflow_provider_dataflow.operators.manage_run import (
    CancelRunOperator,
    GetRunOperator,
    ListRunsOperator,
    UpdateRunOperator,
)
from airflow_provider_dataflow.operators.pool import CreatePoolOperator, DeletePoolOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from airflow_provider_dataflow.sensors.run import RunSensor

PARAMETER = "{{ var.value.marked }}"
SETTING = "{{ var.value.marked_setting }}"
ARGUMENT = "{{ var.value.marked_argument }}"
CONTROL = "MARKED-harmless-03bd"
TEXT = f"{CONTROL} --password {PARAMETER} spark.secret={SETTING} --token '{ARGUMENT}'"
START = pendulum.datetime(2013, 1, 1, tz="UTC")


def task_classes() -> Iterator[type[BaseOperator]]:
    for package in (operators, sensors):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for value in vars(import_module(module.name)).values():
                if (
                    inspect.isclass(value)
                    and issubclass(value, BaseOperator)
                    and value.__module__ == module.name
                    and not value.__name__.startswith("_")
                    and value.template_fields
                ):
                    yield value


def plain(cls: type[BaseOperator], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments without the first one whose omission satisfies the constructor."""
    for left_out in (None, *arguments):
        rest = {name: value for name, value in arguments.items() if name != left_out}
        if cls.__name__ == "ListRunsOperator":
            rest = {name: rest[name] for name in ("display_name", "limit", "compartment_id")}
        try:
            cls(task_id="probe", **rest)
        except (InvalidArgument, TypeError):
            continue
        return rest
    raise AssertionError(f"{cls.__name__} is never satisfied")


def arguments_of(cls: type[BaseOperator]) -> dict[str, Any]:
    """Return all templated arguments of a class, with secrets. The connection does not exist."""
    fields = ("execute" if name == "execute_string" else name for name in cls.template_fields)
    return plain(cls, {name: TEXT for name in fields if name not in ("oci_conn_id", "auth_type")}) | {
        "oci_conn_id": "oci_missing"
    }


# Outside of any DAG, since this creates operators to find out which arguments they accept.
EVERYTHING = [(cls, arguments_of(cls)) for cls in task_classes()]

with DAG("secrets_of_all", schedule=None, start_date=START, default_args={"retries": 0}):
    for cls, arguments in EVERYTHING:
        cls(task_id=f"plain_{cls.__name__}", **arguments)
        mapped, *others = arguments
        cls.partial(task_id=f"mapped_{cls.__name__}", **{name: arguments[name] for name in others}).expand(
            **{mapped: [arguments[mapped]]}
        )


with DAG("secrets_at_work", schedule=None, start_date=START, default_args={"oci_conn_id": "oci_marked"}):
    common: dict[str, Any] = {
        "execute": (
            f"--conf spark.app.password={SETTING} oci://b@ns/app.py "
            f"--api-token {ARGUMENT} --password {PARAMETER}"
        ),
        "freeform_tags": {"control": CONTROL},
        "poll_interval": 1,
    }
    of_run: dict[str, Any] = {"json": {"configuration": {"spark.hadoop.password": SETTING}}, **common}

    @task
    def names() -> list[str]:
        return ["waits"]

    in_worker = InvokeRunOperator.partial(
        task_id="mapped_in_worker", display_name="succeeds", deferrable=False, **of_run
    ).expand(parameters=[{"db_password": PARAMETER}, f'{{"db_password": "{PARAMETER}"}}'])
    InvokeRunOperator.partial(
        task_id="mapped_deferred",
        # Airflow's masker does not recognize secrets in a list of names and values.
        parameters=[{"name": "db_password", "value": PARAMETER}],
        deferrable=True,
        **of_run,
    ).expand(display_name=names())
    if triggers_have_on_kill():  # Airflow 3.3 and newer
        InvokeRunOperator.partial(
            task_id="mapped_from_trigger", display_name="waits", start_from_trigger=True, **of_run
        ).expand(parameters=[{"db_password": PARAMETER}])

    sensor: dict[str, Any] = {"deferrable": True, "fetch_logs": "always", "poke_interval": 1}
    first = "{{ ti.xcom_pull('mapped_in_worker', map_indexes=0) }}"
    after = [
        RunSensor(task_id="sensor", run_id=first, **sensor),
        RunSensor.partial(task_id="mapped_sensor", **sensor).expand(run_id=in_worker.output),
        GetRunOperator(task_id="get", run_id=first),
        GetRunOperator.partial(task_id="mapped_get").expand(run_id=in_worker.output),
        ListRunsOperator(task_id="list", display_name=f"password={PARAMETER}"),
        UpdateRunOperator.partial(task_id="mapped_update", freeform_tags={"api_token": ARGUMENT}).expand(
            run_id=in_worker.output
        ),
    ]
    in_worker >> after

    of_application: dict[str, Any] = {
        "driver_shape": "VM.Standard2.1",
        "executor_shape": "VM.Standard2.1",
        "language": "PYTHON",
        "num_executors": 1,
        "spark_version": "3.5.0",
        "freeform_tags": {"control": CONTROL},
    }
    with_secrets = {"execute": common["execute"], "parameters": {"db_password": PARAMETER}}
    CreateOrUpdateApplicationOperator(
        task_id="application", display_name="plain", **of_application, **with_secrets
    )
    CreateOrUpdateApplicationOperator.partial(
        task_id="mapped_application", parameters=with_secrets["parameters"], **of_application
    ).expand_kwargs([{"display_name": "mapped", "execute": common["execute"]}])

    pool = CreatePoolOperator(
        task_id="pool",
        display_name="pool",
        description=f"{CONTROL} password={PARAMETER}",
        configurations=[{"shape": "VM.Standard2.1", "min": 1, "max": 1}],
        freeform_tags={"api_token": ARGUMENT},
        deferrable=True,
        poll_interval=1,
    )
    DeletePoolOperator.partial(task_id="mapped_delete_pool", deferrable=True, poll_interval=1).expand(
        pool_id=[pool.output]
    )

    session_application = CreateOrUpdateApplicationOperator(
        task_id="session_application", display_name="session", type="SESSION", **of_application
    )
    session = InvokeRunOperator(
        task_id="session",
        application_id=session_application.output,
        display_name="session",
        parameters={"db_password": PARAMETER},
        target_states=["IN_PROGRESS"],
        poll_interval=1,
        deferrable=True,
    )
    # The scripted engine returns the code as output.
    code = f"{CONTROL.replace('-', '_')} = connect(password='{PARAMETER}')"
    statements = [
        RunStatementOperator(
            task_id="statement", run_id=session.output, code=code, deferrable=True, poll_interval=1
        ),
        RunStatementOperator.partial(
            task_id="mapped_statement", run_id=session.output, deferrable=True, poll_interval=1
        ).expand(code=[code]),
    ]
    statements >> CancelRunOperator(
        task_id="cancel", run_id=session.output, deferrable=True, poll_interval=1, trigger_rule="all_done"
    )
