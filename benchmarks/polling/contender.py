"""Waits for N runs in one way, as a triggerer would, and says what that cost. Run by :mod:`.cost`.

It stands alone, since one of the ways needs an environment in which this package is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import time
from collections.abc import Callable
from typing import Any

RUN_ID = "ocid1.dataflowrun.oc1.iad.anuwcljrbenchmark{:08}"
COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaabenchmark"


def _ours(interval: float) -> Callable[[int], Any]:
    from airflow_provider_dataflow.triggers.run import RunTrigger

    async def wait(number: int) -> None:
        trigger = RunTrigger(RUN_ID.format(number), compartment_id=COMPARTMENT, poll_interval=interval)
        async for _ in trigger.run():
            pass

    return wait


def _databricks(interval: float) -> Callable[[int], Any]:
    from airflow.providers.databricks.triggers.databricks import (  # type: ignore[import-not-found]
        DatabricksExecutionTrigger,
    )

    async def wait(number: int) -> None:
        trigger = DatabricksExecutionTrigger(
            number + 1, "databricks_default", polling_period_seconds=int(interval)
        )
        async for _ in trigger.run():
            pass

    return wait


def _naive(interval: float) -> Callable[[int], Any]:
    import oci

    config = json.loads(os.environ["BENCHMARK_SDK_CONFIG"])
    client = oci.data_flow.DataFlowClient(config, service_endpoint=os.environ["BENCHMARK_ENDPOINT"])

    async def wait(number: int) -> None:
        while (await asyncio.to_thread(client.get_run, RUN_ID.format(number))).data.lifecycle_state:  # noqa: ASYNC110
            await asyncio.sleep(interval)

    return wait


def _idle(interval: float) -> Callable[[int], Any]:
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    class Idle(BaseTrigger):
        """What Airflow's own part weighs."""

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "", {}

        async def run(self) -> Any:
            # Its logger belongs to it.
            self.log.warning("waiting")
            await asyncio.sleep(1e6)
            yield TriggerEvent(None)

    async def wait(_: int) -> None:
        async for _ in Idle().run():
            pass

    return wait


WAYS = {"ours": _ours, "databricks": _databricks, "naive": _naive, "idle": _idle}


class Watchdog:
    """The longest time for which the loop's thread computed without a turn for others."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        # CPU, not wall time: what other processes take of a busy machine is nobody's fault here.
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.thread_time() - before)


async def _requests(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /_count HTTP/1.1\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0])
    counts = json.loads(await reader.readexactly(length))
    writer.close()
    return sum(counts.values())


def _memory() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


async def _main(arguments: argparse.Namespace) -> dict[str, float]:
    wait = WAYS[arguments.way](arguments.interval)
    before = _memory()
    starting = Watchdog()
    watch = asyncio.create_task(starting.watch())
    await asyncio.sleep(0.1)
    tasks = []
    for number in range(arguments.waits):
        tasks.append(asyncio.create_task(wait(number)))
        if arguments.in_turn:
            await asyncio.sleep(0)
    await asyncio.sleep(arguments.warm)
    watch.cancel()
    memory = _memory() - before

    cpu, requests, begin = time.process_time(), await _requests(arguments.port), time.perf_counter()
    await asyncio.sleep(arguments.window)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - begin
    requests = await _requests(arguments.port) - requests

    steady = Watchdog()
    watch = asyncio.create_task(steady.watch())
    await asyncio.sleep(arguments.window / 2)
    watch.cancel()
    ended = [task for task in tasks if task.done()]
    if ended:
        raise RuntimeError(f"{len(ended)} waits have ended: {ended[0]}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "cpu": cpu,
        "requests": requests,
        "seconds": seconds,
        "memory": memory,
        "starting": starting.longest,
        "steady": steady.longest,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    for name in ("port", "waits"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("interval", "warm", "window"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--in-turn", action="store_true", help="start one in each turn of the loop")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    logging.disable(logging.INFO)
    print(json.dumps(asyncio.run(_main(parser.parse_args()))))
