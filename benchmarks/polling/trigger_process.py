"""Run N triggers of one implementation, as a triggerer would, and print what they cost. Used by :mod:`.cost`.

It imports nothing of this repository at module level, because Databricks' trigger runs in an environment in
which this package is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import resource
import time
from collections.abc import Callable, Coroutine
from typing import Any

RUN_ID = "ocid1.dataflowrun.oc1.iad.anuwcljrbenchmark{:08}"
COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaabenchmark"

#: Creates the trigger with the given number, and returns the coroutine that runs it until it is cancelled.
TriggerRunner = Callable[[int], Coroutine[Any, Any, None]]


async def _run(trigger: Any) -> None:
    async for _ in trigger.run():
        pass


def _ours(interval: float) -> TriggerRunner:
    from airflow_provider_dataflow.triggers.run import RunTrigger

    def run(number: int) -> Coroutine[Any, Any, None]:
        run_id = RUN_ID.format(number)
        return _run(RunTrigger(run_id, compartment_id=COMPARTMENT, poll_interval=interval))

    return run


def _databricks(interval: float) -> TriggerRunner:
    from airflow.providers.databricks.triggers.databricks import (  # type: ignore[import-not-found]
        DatabricksExecutionTrigger,
    )

    def run(number: int) -> Coroutine[Any, Any, None]:
        return _run(
            DatabricksExecutionTrigger(number + 1, "databricks_default", polling_period_seconds=int(interval))
        )

    return run


def _sdk_threads(interval: float) -> TriggerRunner:
    """Return a naive trigger, which calls GetRun of the OCI SDK in a thread."""
    import oci

    config = json.loads(os.environ["BENCHMARK_SDK_CONFIG"])
    client = oci.data_flow.DataFlowClient(config, service_endpoint=os.environ["BENCHMARK_ENDPOINT"])

    async def run(number: int) -> None:
        while (await asyncio.to_thread(client.get_run, RUN_ID.format(number))).data.lifecycle_state:  # noqa: ASYNC110
            await asyncio.sleep(interval)

    return run


def _idle(interval: float) -> TriggerRunner:
    """Return a trigger that only sleeps, to measure the memory of Airflow's base class."""
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    class IdleTrigger(BaseTrigger):
        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "", {}

        async def run(self) -> Any:
            # Creates the logger, which is part of each trigger's memory.
            self.log.warning("waiting")
            await asyncio.sleep(1e6)
            yield TriggerEvent(None)

    return lambda _: _run(IdleTrigger())


IMPLEMENTATIONS = {"ours": _ours, "databricks": _databricks, "sdk_threads": _sdk_threads, "idle": _idle}


class BlockingMonitor:
    """Measures, as a context manager, how long an iteration blocks the event loop, without the collector.

    :ivar longest_seconds: the longest iteration, in CPU time: on a busy machine, wall time would include the
        time of other processes.
    :ivar longest_gc_seconds: the longest pass of the collector.
    :ivar gc_seconds: all its passes.
    """

    def __init__(self) -> None:
        self.longest_seconds = self.longest_gc_seconds = self.gc_seconds = 0.0
        self._gc_began = 0.0

    def _count_collection(self, phase: str, _: Any) -> None:
        if phase == "start":
            self._gc_began = time.thread_time()
            return
        seconds = time.thread_time() - self._gc_began
        self.gc_seconds += seconds
        self.longest_gc_seconds = max(self.longest_gc_seconds, seconds)

    def __enter__(self) -> BlockingMonitor:
        gc.callbacks.append(self._count_collection)
        loop: Any = asyncio.get_running_loop()
        run_iteration = loop._run_once

        def run_and_measure() -> None:
            before, collected = time.thread_time(), self.gc_seconds
            run_iteration()
            seconds = time.thread_time() - before - (self.gc_seconds - collected)
            # The iteration that ends the measurement also collects garbage, to measure the memory.
            if vars(loop).get("_run_once") is run_and_measure:
                self.longest_seconds = max(self.longest_seconds, seconds)

        loop._run_once = run_and_measure
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._count_collection)
        del asyncio.get_running_loop()._run_once  # type: ignore[attr-defined]


async def _count_requests(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /_count HTTP/1.1\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0])
    counts = json.loads(await reader.readexactly(length))
    writer.close()
    return sum(counts.values())


def _memory_bytes() -> int:
    """Return the resident memory, without what the allocator keeps of freed responses."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


async def _main(arguments: argparse.Namespace) -> dict[str, float]:
    run_trigger = IMPLEMENTATIONS[arguments.implementation](arguments.interval)
    memory_before = _memory_bytes()
    tasks: list[asyncio.Task[None]] = []
    if not arguments.staggered:
        # The creation of tasks is the work of asyncio, so it is done before the loop is watched.
        tasks += [asyncio.create_task(run_trigger(number)) for number in range(arguments.triggers)]
    with BlockingMonitor() as starting:
        while len(tasks) < arguments.triggers:
            tasks.append(asyncio.create_task(run_trigger(len(tasks))))
            # Airflow's triggerer creates one trigger per iteration.
            await asyncio.sleep(0)
        await asyncio.sleep(arguments.warm)
    memory = _memory_bytes() - memory_before

    cpu, requests, begin = time.process_time(), await _count_requests(arguments.port), time.perf_counter()
    await asyncio.sleep(arguments.window)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - begin
    requests = await _count_requests(arguments.port) - requests

    with BlockingMonitor() as steady:
        await asyncio.sleep(arguments.window / 2)
    ended = [task for task in tasks if task.done()]
    if ended:
        raise RuntimeError(f"{len(ended)} triggers have ended: {ended[0]}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "cpu": cpu,
        "requests": requests,
        "seconds": seconds,
        "memory": memory,
        "starting": starting.longest_seconds,
        "starting_gc": starting.longest_gc_seconds,
        "steady": steady.longest_seconds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    for name in ("port", "triggers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("interval", "warm", "window"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument(
        "--staggered", action="store_true", help="start one trigger per iteration of the event loop"
    )
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    logging.disable(logging.INFO)
    print(json.dumps(asyncio.run(_main(parser.parse_args()))))
