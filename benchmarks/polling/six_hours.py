"""Wait for ten thousand runs over six simulated hours, with the real client against Local Data Flow.

::

    python -m benchmarks.polling.six_hours

Prints how many requests that takes, how late each end is noticed, and whether events are lost or duplicated.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import statistics
import time
from collections import Counter
from typing import Any

import oci

from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from airflow_provider_dataflow.polling import DEFAULT_NO_EVENT_BEFORE
from benchmarks.load import table
from benchmarks.polling import manual_clock

#: Submits are spread over this time, so that the last runs end within six hours.
SUBMIT_SECONDS = 5.5 * 3600
#: Limits of a run's duration.
MIN_SECONDS, MAX_SECONDS = 120.0, 1800.0


def create_application(service: LocalDataFlow) -> tuple[oci.data_flow.DataFlowClient, str]:
    sdk = oci.data_flow.DataFlowClient(service.sdk_config, service_endpoint=service.endpoint)
    models = oci.data_flow.models
    shape = models.ShapeConfig(ocpus=1, memory_in_gbs=16)
    details = models.CreateApplicationDetails(
        compartment_id=service.compartment_id,
        display_name="scripted",
        language="PYTHON",
        spark_version="3.5.0",
        file_uri="oci://apps@local/app.py",
        driver_shape="VM.Standard.E4.Flex",
        executor_shape="VM.Standard.E4.Flex",
        driver_shape_config=shape,
        executor_shape_config=shape,
        num_executors=1,
    )
    return sdk, sdk.create_application(details).data.id


def submit(
    sdk: oci.data_flow.DataFlowClient,
    service: LocalDataFlow,
    application_id: str,
    seconds: float,
    outcome: str = "SUCCEEDED",
) -> str:
    prefix = "spark.dataflow.emulator."
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=service.compartment_id,
        application_id=application_id,
        configuration={f"{prefix}duration": str(seconds), f"{prefix}outcome": outcome},
    )
    run_id: str = sdk.create_run(details).data.id
    return run_id


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--poll-interval", type=float, default=30.0)
    arguments = parser.parse_args()
    rng = random.Random(3)
    events: list[tuple[str, str, float]] = []
    waiting = max_waiting = 0

    with LocalDataFlow(engine="scripted", clock="manual", max_concurrent_runs=10_000) as service:
        sdk, application_id = create_application(service)

        async def submit_and_wait(poller: RunPoller, begin: float, seconds: float) -> None:
            nonlocal waiting, max_waiting
            await asyncio.sleep(begin)
            run_id = await asyncio.to_thread(submit, sdk, service, application_id, seconds)
            waiting += 1
            max_waiting = max(max_waiting, waiting)
            await asyncio.sleep(DEFAULT_NO_EVENT_BEFORE)
            run = await poller.wait_for(
                run_id,
                states=SUCCESS_STATES,
                poll_interval=arguments.poll_interval,
                compartment_id=service.compartment_id,
            )
            waiting -= 1
            assert run.time_updated is not None
            delay = started_at + asyncio.get_running_loop().time() - run.time_updated.timestamp()
            events.append((run_id, run.state, delay))

        async def wait_for_all(poller: RunPoller) -> None:
            waiters = (
                submit_and_wait(poller, rng.uniform(0, SUBMIT_SECONDS), rng.uniform(MIN_SECONDS, MAX_SECONDS))
                for _ in range(arguments.runs)
            )
            await asyncio.gather(*waiters)

        started_at = service.now()
        begin, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        manual_clock.run(service, wait_for_all)
        seconds = time.perf_counter() - begin
        simulated = service.now() - started_at
        cpu_after = resource.getrusage(resource.RUSAGE_SELF)
        requests: Counter[str] = Counter(entry["operation"] for entry in service.journal())

    delays = sorted(delay for _, _, delay in events)
    naive_polls = sum(
        1 + round(rng.uniform(MIN_SECONDS, MAX_SECONDS) / arguments.poll_interval)
        for _ in range(arguments.runs)
    )
    polls = requests["GetRun"] + requests["ListRuns"]
    rows: list[tuple[str, Any]] = [
        ("", ""),
        ("runs", f"{arguments.runs:,}"),
        ("hours on the clock", f"{simulated / 3600:.1f}"),
        ("most runs awaited at a time", f"{max_waiting:,}"),
        ("events", f"{len(events):,}"),
        ("lost", arguments.runs - len({run_id for run_id, _, _ in events})),
        ("duplicated", len(events) - len({run_id for run_id, _, _ in events})),
        ("ListRuns", f"{requests['ListRuns']:,}"),
        ("GetRun", f"{requests['GetRun']:,}"),
        ("share of one GetRun per trigger and interval", f"{polls / naive_polls:.1%}"),
        ("from end to event, p50", f"{statistics.median(delays):.1f} s"),
        ("from end to event, p99", f"{delays[int(len(delays) * 0.99)]:.1f} s"),
        (
            "CPU, submits included",
            f"{cpu_after.ru_utime + cpu_after.ru_stime - cpu.ru_utime - cpu.ru_stime:.0f} s",
        ),
        ("took", f"{seconds:.0f} s"),
    ]
    print(table([(str(name), str(value)) for name, value in rows]))


if __name__ == "__main__":
    main()
