"""``@task.oci_data_flow`` on real Spark, through the real SDK."""

from __future__ import annotations

import datetime
import json
import urllib.request
import uuid
from functools import partial
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow.decorators.data_flow import DataFlowDecoratedOperator
from airflow_provider_dataflow.exceptions import FunctionFailed, RunFailed
from airflow_provider_dataflow.staging import function_code
from tests.contract.conftest import BUCKET, NAMESPACE, poll_at_once, set_connection
from tests.contract.tasks import run_task
from tests.unit.support import FakeStateStore, FakeTaskInstance
from tests.wheels import write_wheel

pytestmark = pytest.mark.spark

STAGING = f"oci://{BUCKET}@{NAMESPACE}/staging"


@pytest.fixture(autouse=True)
def _connection(local, target, monkeypatch, tmp_path):
    set_connection(local, monkeypatch)
    poll_at_once(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def new_instance(**fields: Any) -> FakeTaskInstance:
    """Return the task instance of another DAG run, whose submits have other retry tokens."""
    ti = FakeTaskInstance(run_id=f"manual__{uuid.uuid4()}")
    vars(ti).update(fields)
    return ti


def task_of(function: Any, **arguments: Any) -> DataFlowDecoratedOperator:
    with DAG("dag"):
        return DataFlowDecoratedOperator(
            **{
                "task_id": "function",
                "python_callable": function,
                "staging_uri": STAGING,
                "poll_interval": 0.2,
                "deferrable": False,
                **arguments,
            }
        )


def object_requests(local) -> list[str]:
    """Return the operations of Object Storage that the service has received, oldest first."""
    with urllib.request.urlopen(f"{local.endpoint}/_local/journal") as response:
        entries = json.load(response)["entries"]
    return [entry["operation"] for entry in entries if (entry["operation"] or "").endswith("Object")]


def count(spark, month, *, limit, since, run_id):
    import math

    from pyspark.sql import functions as F

    @F.udf("long")
    def doubled(value):
        return 2 * math.floor(value)

    print(f"counting {month}")
    total = spark.range(limit).select(F.sum(doubled("id"))).first()
    return {"month": month, "total": total[0], "row": total, "since": since, "run": run_id, "n": {limit}}


@pytest.mark.parametrize("deferrable", [False, True])
def test_value_is_the_result_of_the_task(target, capsys, deferrable):
    since = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)
    ti = new_instance()
    arguments = {"op_args": ["2013-01"], "op_kwargs": {"limit": 10, "since": since, "run_id": "r1"}}
    result = run_task(lambda: task_of(count, deferrable=deferrable, **arguments), ti)
    assert result == {
        "month": "2013-01",
        "total": 90,
        "row": {"sum(doubled(id))": 90},
        "since": since,
        "run": "r1",
        "n": {10},
    }
    assert target.client.get_run(ti.xcoms["run_id"]).data.lifecycle_state == "SUCCEEDED"
    assert "counting 2013-01" in capsys.readouterr().out


def failing(spark, month):
    def parse(text):
        return int(text)

    return parse(month)


def test_exception_with_its_traceback_is_the_error_of_the_task(target):
    ti = new_instance()
    with pytest.raises(FunctionFailed) as caught:
        run_task(lambda: task_of(failing, op_args=["no month"]), ti)
    error = caught.value
    assert (error.error_type, error.state) == ("ValueError", "FAILED")
    assert "invalid literal for int() with base 10: 'no month'" in error.error_message
    line = failing.__code__.co_firstlineno + 4
    frame = f'File "test_task_decorator.py", line {line}, in failing\n    return parse(month)\n'
    assert frame in error.traceback
    assert "return parse(month)" in str(error)
    assert target.client.get_run(error.run_id).data.lifecycle_state == "FAILED"


def killed(spark):
    import os

    os._exit(3)


def test_driver_that_dies_is_a_failed_run_without_an_exception(local):
    with pytest.raises(RunFailed) as caught:
        run_task(lambda: task_of(killed), new_instance())
    assert type(caught.value) is RunFailed


def returns_too_much(spark):
    return "x" * 2_000_000


def returns_a_dataframe(spark):
    return {"table": spark.range(3)}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (returns_too_much, "2000013 bytes of JSON, more than"),
        (returns_a_dataframe, "DataFrame cannot be"),
    ],
)
def test_value_that_is_no_xcom_fails_the_run(local, function, message):
    with pytest.raises(FunctionFailed, match=message):
        run_task(lambda: task_of(function), new_instance())


def length(text):
    return len(text)


def test_long_arguments_travel_in_an_object(local):
    text = "ü" * function_code.MAX_INLINE_CHARACTERS
    assert run_task(lambda: task_of(length, op_args=[text]), new_instance()) == len(text)


def version_of_package(spark):
    import shippedlib

    spark.stop()
    return shippedlib.VERSION


def test_function_with_requirements(local, tmp_path, monkeypatch):
    write_wheel(tmp_path, "shippedlib", "7.2")
    # Requirements may name no folder outside of the DAG's bundle; the configuration of uv on the worker may.
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    task = partial(task_of, version_of_package, requirements=["shippedlib"])
    assert run_task(task, new_instance()) == "7.2"


def test_next_try_finds_the_result_of_an_adopted_run(local):
    """The worker of the first try was lost after the end of the run; the second try runs nothing."""
    store, first = FakeStateStore(), new_instance()
    arguments = {"op_args": ["abc"]}
    assert run_task(lambda: task_of(length, **arguments), first, task_state_store=store) == 3
    second = new_instance(run_id=first.run_id, try_number=2, start_date=first.start_date)
    # Not even the arguments of the second try matter.
    result = run_task(lambda: task_of(length, op_args=["abcdef"]), second, task_state_store=store)
    assert result == 3
    assert second.xcoms["run_id"] == first.xcoms["run_id"]


def test_mapped_tasks_have_results_of_their_own_and_share_the_script(local):
    before = len(object_requests(local))
    results = [
        run_task(lambda text=text: task_of(length, op_args=[text]), new_instance(map_index=index))
        for index, text in enumerate(("a", "bb"))
    ]
    assert results == [1, 2]
    # The script was uploaded by an earlier test, if not by the first of these tasks.
    found = object_requests(local)[before:]
    assert [operation for operation in found if operation != "PutObject"] == ["HeadObject", "GetObject"] * 2
    assert found.count("PutObject") <= 1
