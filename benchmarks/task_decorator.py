"""Measure the overhead of ``@task.oci_data_flow`` over InvokeRunOperator with the same program.

::

    python -m benchmarks.task_decorator --rounds 7

The tasks take turns, on one Local Data Flow with real Spark. ``beside the run`` is the time of the task
without that of its run: staging, submit, polls, and reading the result. ``in the driver`` is the duration of
the run. A third task has ``requirements`` whose archive is in the bucket already.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from airflow.sdk import DAG

from airflow_provider_dataflow.decorators.data_flow import DataFlowDecoratedOperator
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from benchmarks.load import table

_POLL_SECONDS = 0.02
_PROGRAM = """\
import sys

from pyspark.sql import SparkSession

print(SparkSession.builder.getOrCreate().range(int(sys.argv[1])).count())
"""


def count(spark: Any, rows: int) -> int:
    found: int = spark.range(rows).count()
    return found


class _TaskInstance:
    """The parts of a task instance that the operators use."""

    def __init__(self) -> None:
        self.dag_id, self.task_id, self.map_index = "dag", "task", -1
        self.run_id = str(uuid4())
        self.try_number, self.max_tries = 1, 0
        self.start_date = datetime.now(UTC)
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


def _tasks(local: LocalDataFlow) -> dict[str, Callable[[], Any]]:
    (local.create_bucket("data") / "count.py").write_text(_PROGRAM)
    common: dict[str, Any] = {"task_id": "task", "deferrable": False, "poll_interval": _POLL_SECONDS}
    staging = {"staging_uri": "oci://data@local/staging"}

    def decorated(**arguments: Any) -> DataFlowDecoratedOperator:
        return DataFlowDecoratedOperator(
            python_callable=count, op_kwargs={"rows": 1000}, **common, **staging, **arguments
        )

    return {
        "InvokeRunOperator": lambda: InvokeRunOperator(execute="oci://data@local/count.py 1000", **common),
        "@task.oci_data_flow": decorated,
        "with requirements": lambda: decorated(requirements=["humanize"]),
    }


def _seconds_of(task: Any) -> tuple[float, float]:
    """Run a task, and return its time without the run, and the time of the run."""
    ti = _TaskInstance()
    begin = time.perf_counter()
    task.execute({"ti": ti})
    total = time.perf_counter() - begin
    run = DataFlowHook().get_run(ti.xcoms["run_id"])
    in_run = (run.run_duration_in_milliseconds or 0) / 1000
    return total - in_run, in_run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    # Airflow's own, as the operators use it.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="task-decorator-")))
        local = stack.enter_context(LocalDataFlow(folder / "home"))
        os.environ.update(local.environment)
        seconds: dict[str, list[tuple[float, float]]] = {}
        for number in range(arguments.rounds + 1):
            for name, make in _tasks(local).items():
                with DAG("dag"):
                    task = make()
                measured = _seconds_of(task)
                if number:  # the first round uploads and imports
                    seconds.setdefault(name, []).append(measured)
    rows = [("", "beside the run", "difference", "in the driver", "difference")]
    medians = {
        name: [statistics.median(column) for column in zip(*v, strict=True)] for name, v in seconds.items()
    }
    base = medians["InvokeRunOperator"]
    for name, (beside, driver) in medians.items():
        rows.append(
            (
                name,
                f"{beside * 1000:.0f} ms",
                f"{(beside - base[0]) * 1000:+.0f} ms",
                f"{driver:.2f} s",
                f"{driver - base[1]:+.2f} s",
            )
        )
    print(f"{arguments.rounds} rounds, medians")
    print(table(rows))


if __name__ == "__main__":
    main()
