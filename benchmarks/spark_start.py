"""Measure a trivial run from submit to end, against a bare spark-submit of the same script.

::

    python -m benchmarks.spark_start --rounds 5

The variants take turns, so that the load of the machine affects all of them equally. ``without class data``
shows the first runs after an installation, before the archive of class data exists.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import oci

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.spark.engine import SparkEngine
from airflow_provider_dataflow.local.engines.spark.installation import (
    find_java,
    find_spark,
    python_executable,
)
from airflow_provider_dataflow.local.state.buckets import Buckets
from airflow_provider_dataflow.models.run import is_terminal
from benchmarks.load import table

_SCRIPT = """\
from pyspark.sql import SparkSession

print(SparkSession.builder.getOrCreate().range(1000).count())
"""
_POLL_SECONDS = 0.02


def _spark_submit(script: Path) -> Callable[[], None]:
    spark = find_spark()
    variables = {
        "JAVA_HOME": str(find_java(spark).home),
        "SPARK_HOME": str(spark.home),
        "PYSPARK_PYTHON": python_executable(),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }

    def run() -> None:
        subprocess.run(
            [spark.home / "bin" / "spark-submit", script],
            check=True,
            capture_output=True,
            env=os.environ | variables,
        )

    return run


def _local_run(local: LocalDataFlow) -> Callable[[], None]:
    (local.create_bucket("data") / "app.py").write_text(_SCRIPT)
    client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=local.compartment_id, execute="oci://data@local/app.py"
    )

    def run() -> None:
        created = client.create_run(details).data
        while not is_terminal((current := client.get_run(created.id).data).lifecycle_state):
            time.sleep(_POLL_SECONDS)
        if current.lifecycle_state != "SUCCEEDED":
            raise RuntimeError(current.lifecycle_details)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spark-start-")))
        script = folder / "app.py"
        script.write_text(_SCRIPT)
        engine = SparkEngine(folder / "warm", Buckets(folder / "buckets"), limit=1, warm=False)
        if not engine.warm_up():
            raise SystemExit("The class-data archive could not be created.")
        with_archive = stack.enter_context(LocalDataFlow(folder / "with"))
        cache = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = str(folder / "no cache")
        without_archive = stack.enter_context(LocalDataFlow(folder / "without"))
        if cache is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = cache
        variants = {
            "bare spark-submit": _spark_submit(script),
            "Local Data Flow": _local_run(with_archive),
            "Local Data Flow, without class data": _local_run(without_archive),
        }
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(arguments.rounds + 1):
            for name, run_once in variants.items():
                begin = time.perf_counter()
                run_once()
                if number:  # the first round fills the page cache
                    seconds[name].append(time.perf_counter() - begin)
    bare = statistics.median(seconds["bare spark-submit"])
    rows = [("", "median", "fastest", "ratio", "difference")]
    for name, times in seconds.items():
        median = statistics.median(times)
        rows.append(
            (
                name,
                f"{median:.2f} s",
                f"{min(times):.2f} s",
                f"{median / bare:.2f}",
                f"{median - bare:+.2f} s",
            )
        )
    print(f"{engine.describe()}, {arguments.rounds} rounds")
    print(table(rows))


if __name__ == "__main__":
    main()
