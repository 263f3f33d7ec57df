"""Measure how late the poller notices the end of a run, against a fixed interval with as many requests.

::

    python -m benchmarks.polling.delay

In virtual time, each application runs again and again, as a nightly job does, and the poller waits for its
runs. Then the fixed interval is computed that needs the same number of requests for the same runs.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from benchmarks.load import table
from benchmarks.polling import virtual_time
from benchmarks.polling.simulated_service import SimulatedService


@dataclass(frozen=True)
class Workload:
    """Runs of several applications; times are in seconds.

    :param runs: of each application, one after the other.
    :param shortest: least typical duration of an application.
    :param longest: greatest typical duration of an application.
    :param spread: of the durations of one application, as a share of the typical one.
    :param same_compartment: all runs are in one compartment instead of one for each application.
    """

    name: str
    applications: int
    runs: int
    shortest: float = 60.0
    longest: float = 3 * 3600.0
    spread: float = 0.1
    same_compartment: bool = False

    def durations(self, rng: random.Random) -> list[list[float]]:
        """Return a list of the durations of its runs for each application."""
        low, high = math.log(self.shortest), math.log(self.longest)
        return [
            [typical * rng.lognormvariate(0, self.spread) for _ in range(self.runs)]
            for typical in (math.exp(rng.uniform(low, high)) for _ in range(self.applications))
        ]


HALF_HOUR_SECONDS = 1800.0
WORKLOADS = (
    Workload("from a minute to three hours, durations of one application vary by 10 %", 100, 12),
    Workload("by 30 %", 100, 12, spread=0.3),
    Workload("by 60 %", 100, 12, spread=0.6),
    Workload("by 100 %", 100, 12, spread=1.0),
    Workload("all of half an hour, by 10 %", 40, 12, shortest=HALF_HOUR_SECONDS, longest=HALF_HOUR_SECONDS),
    Workload("by 30 %", 40, 12, spread=0.3, shortest=HALF_HOUR_SECONDS, longest=HALF_HOUR_SECONDS),
    Workload("by 100 %", 40, 12, spread=1.0, shortest=HALF_HOUR_SECONDS, longest=HALF_HOUR_SECONDS),
    Workload(
        "100 runs at a time in a compartment", applications=100, runs=2, longest=3600.0, same_compartment=True
    ),
)


@dataclass(frozen=True)
class DelayFigures:
    """:param requests: per run, on average.
    :param delays: seconds from the end of each run to its notice.
    """

    requests: float
    delays: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.delays)

    @property
    def p99(self) -> float:
        return sorted(self.delays)[int(len(self.delays) * 0.99)]


def with_poller(workload: Workload, durations: list[list[float]], poll_interval: float) -> DelayFigures:
    """Wait for the runs through the poller."""
    service = SimulatedService(get_seconds=0.05, page_seconds=0.2)
    delays: list[float] = []

    async def repeat(poller: RunPoller, number: int, rng: random.Random) -> None:
        for seconds in durations[number]:
            # Applications must not run in step.
            await asyncio.sleep(rng.uniform(0, poll_interval))
            compartment = "shared" if workload.same_compartment else f"compartment-{number}"
            now = asyncio.get_running_loop().time()
            run = service.add(
                seconds, created=now, application=f"application-{number}", compartment=compartment
            )
            await poller.wait_for(
                run.id, states=SUCCESS_STATES, poll_interval=poll_interval, compartment_id=compartment
            )
            delays.append(asyncio.get_running_loop().time() - run.ended)

    async def main() -> None:
        poller = RunPoller(service.make, now=service.now)
        rng = random.Random(1)
        await asyncio.gather(*(repeat(poller, number, rng) for number in range(len(durations))))
        await poller.close()

    virtual_time.run(main())
    return DelayFigures(service.requests.total() / len(delays), delays)


def with_fixed_interval(durations: list[list[float]], requests: float) -> tuple[float, DelayFigures]:
    """Return the fixed interval that needs ``requests`` per run, and its figures."""
    all_runs = [seconds for each in durations for seconds in each]
    rng = random.Random(2)
    offsets = [rng.random() for _ in all_runs]

    def figures(interval: float) -> DelayFigures:
        polls, delays = 0, []
        for seconds, offset in zip(all_runs, offsets, strict=True):
            first = offset * interval
            count = max(1, math.ceil((seconds - first) / interval) + 1)
            polls += count
            delays.append(first + (count - 1) * interval - seconds)
        return DelayFigures(polls / len(all_runs), delays)

    low, high = 0.01, 7200.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        if figures(middle).requests > requests:
            low = middle
        else:
            high = middle
    return high, figures(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--poll-interval", type=float, nargs="*", default=[10.0, 30.0])
    arguments = parser.parse_args()
    rows = [
        (
            "",
            "poll_interval",
            "requests per run",
            "p50",
            "p99",
            "fixed interval",
            "its p50",
            "its p99",
            "p50, ratio",
        )
    ]
    for poll_interval in arguments.poll_interval:
        for workload in WORKLOADS:
            durations = workload.durations(random.Random(7))
            ours = with_poller(workload, durations, poll_interval)
            interval, fixed = with_fixed_interval(durations, ours.requests)
            rows.append(
                (
                    workload.name,
                    f"{poll_interval:g} s",
                    f"{ours.requests:.1f}",
                    f"{ours.median:.1f} s",
                    f"{ours.p99:.1f} s",
                    f"{interval:.1f} s",
                    f"{fixed.median:.1f} s",
                    f"{fixed.p99:.1f} s",
                    f"{fixed.median / ours.median:.1f}x",
                )
            )
    print(table(rows))


if __name__ == "__main__":
    main()
