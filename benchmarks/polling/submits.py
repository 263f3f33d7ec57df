"""Measure how long a thousand tasks that start in the triggerer block its event loop.

::

    python -m benchmarks.polling.submits

Each trigger submits a run to Local Data Flow and waits for it, all in one process. XComs are kept in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
import uuid
from types import SimpleNamespace
from typing import Any
from unittest import mock

from airflow_provider_dataflow.local import LocalDataFlow
from benchmarks.load import table
from benchmarks.polling.six_hours import create_application
from benchmarks.polling.trigger_process import BlockingMonitor


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--triggers", type=int, default=1000)
    parser.add_argument("--max-requests-per-second", type=float, default=200.0)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalDataFlow(engine="scripted", max_concurrent_runs=10_000) as service,
    ):
        _, application_id = create_application(service)
        service.clear_journal()
        os.environ["AIRFLOW_HOME"] = folder
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
        os.environ["AIRFLOW_CONN_OCI_DEFAULT"] = service.connection_json
        limit = str(arguments.max_requests_per_second)
        os.environ["AIRFLOW__OCI_DATA_FLOW__MAX_REQUESTS_PER_SECOND"] = limit
        monitor, seconds = asyncio.run(_submit_all(application_id, arguments.triggers))
        operations = [entry["operation"] for entry in service.journal()]
    rows = [
        ("", ""),
        ("tasks that start in the triggerer", f"{arguments.triggers:,}"),
        ("all submitted after", f"{seconds:.0f} s"),
        ("requests until then", f"{len(operations):,}"),
        ("requests per second, limit", f"{len(operations) / seconds:.0f}, {limit}"),
        ("longest block of the event loop, CPU", f"{monitor.longest_seconds * 1000:.0f} ms"),
        ("longest pass of the garbage collector", f"{monitor.longest_gc_seconds * 1000:.0f} ms"),
    ]
    print(table(rows))


async def _submit_all(application_id: str, count: int) -> tuple[BlockingMonitor, float]:
    from airflow_provider_dataflow.operators.run import InvokeRunOperator
    from airflow_provider_dataflow.ownership import record_store
    from airflow_provider_dataflow.triggers import submit

    xcoms: dict[tuple[str, str], Any] = {}

    def push(task: Any, key: str, value: Any) -> None:
        xcoms[str(task), key] = value

    operator = InvokeRunOperator(
        task_id="task",
        start_from_trigger=True,
        application_id=application_id,
        configuration={"spark.dataflow.emulator.duration": "3600"},
    )
    assert operator.start_trigger_args is not None
    row = operator.start_trigger_args.trigger_kwargs
    assert row is not None
    with (
        BlockingMonitor() as monitor,
        mock.patch.object(submit, "push_xcom", push),
        mock.patch.object(record_store, "push_xcom", push),
        mock.patch.object(record_store, "pull_xcom", lambda task, key: xcoms.get((str(task), key))),
    ):
        triggers, tasks = [], []
        began = time.perf_counter()
        for number in range(count):
            trigger = submit.SubmitRunTrigger(**row)
            trigger.task_instance = _task_instance(number)
            triggers.append(trigger)
            tasks.append(asyncio.create_task(_run(trigger)))
            # Airflow's triggerer creates one trigger per iteration.
            await asyncio.sleep(0)
        while not all(trigger._run_trigger for trigger in triggers):
            if ended := [task for task in tasks if task.done()]:
                raise RuntimeError(f"{len(ended)} triggers have ended: {ended[0]}")
            await asyncio.sleep(0.1)
        seconds = time.perf_counter() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return monitor, seconds


async def _run(trigger: Any) -> None:
    async for _ in trigger.run():
        pass


def _task_instance(number: int) -> Any:
    """Return what a trigger reads of its task instance."""
    return SimpleNamespace(
        id=uuid.uuid4(),
        dag_id="benchmark",
        task_id="task",
        run_id=f"run-{number}",
        map_index=-1,
        try_number=1,
        max_tries=0,
        start_date=None,
        logical_date=None,
    )


if __name__ == "__main__":
    main()
