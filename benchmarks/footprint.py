"""Measure the start-up time and the memory of Local Data Flow with many stored runs.

::

    python -m benchmarks.footprint --runs 100000

Ended runs are written directly into its database; then the server starts with that.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

import oci
import psutil

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.state.ocids import ocid
from airflow_provider_dataflow.local.state.store import RUNS, Record, Store
from benchmarks.get_run import create_ended_run
from benchmarks.load import table


def _copy_run(path: Path, copies: int) -> float:
    """Store copies of the only run in the database; return the seconds that it took."""
    store = Store(path)
    original = store.select(RUNS)[0]
    begin = time.perf_counter()
    with store.transaction():
        for _ in range(copies):
            body = copy.copy(original.body)
            body["id"] = ocid("dataflowrun")
            record = Record(body, original.internal)
            store.insert(RUNS, record)
            for state in ("ACCEPTED", "IN_PROGRESS", "FAILED"):
                store.add_state(record.id, state, time.time(), None)
    store.close()
    return time.perf_counter() - begin


def _median_time(call: object, *arguments: object, **named: object) -> str:
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        call(*arguments, **named)  # type: ignore[operator]
        times.append(time.perf_counter() - begin)
    return f"{statistics.median(times) * 1000:.1f} ms"


def _measure(home: Path) -> tuple[str, str, str, str]:
    begin = time.perf_counter()
    with LocalDataFlow(home) as local:
        started = time.perf_counter() - begin
        client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
        run = client.list_runs(local.compartment_id, limit=1).data[0].id
        listed = _median_time(client.list_runs, local.compartment_id, limit=100)
        got = _median_time(client.get_run, run)
        memory = psutil.Process(local.pid).memory_info().rss / 2**20
    return f"{started:.2f} s", f"{memory:.0f} MiB", got, listed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with LocalDataFlow(home) as local:
            create_ended_run(local)
        rows = [("stored runs", "start-up", "memory", "GetRun by the SDK", "ListRuns of 100 by the SDK")]
        rows.append(("1", *_measure(home)))
        seconds = _copy_run(home / "state.sqlite", arguments.runs)
        rows.append((f"{arguments.runs + 1:,}", *_measure(home)))
        size = (home / "state.sqlite").stat().st_size / 2**20
    print(table(rows))
    print(f"{size:,.0f} MiB on disk, written in {seconds:.1f} s")


if __name__ == "__main__":
    main()
