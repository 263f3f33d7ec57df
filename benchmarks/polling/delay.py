"""Measure how late the poller notices the end of a run, against a fixed interval of the same length.

::

    python -m benchmarks.polling.delay

In virtual time, a number of waits follow run after run, each of 2 minutes to 3 hours (log-uniform), so that
as many runs are awaited at any moment. The fixed interval sends one GetRun per wait and interval, without a
rate limit and without latency.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
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

SHORTEST_SECONDS, LONGEST_SECONDS = 120.0, 3 * 3600.0


@dataclass(frozen=True)
class Workload:
    """Waits that each follow one run after the other; times are in seconds.

    :param waits: number of runs that are awaited at a time.
    :param runs: that each wait follows.
    :param compartments: among which the waits are divided.
    """

    name: str
    waits: int
    runs: int
    compartments: int = 1
    poll_interval: float = 30.0
    shortest: float = SHORTEST_SECONDS
    longest: float = LONGEST_SECONDS

    def durations(self, rng: random.Random) -> list[list[float]]:
        """Return the durations of its runs for each wait."""
        low, high = math.log(self.shortest), math.log(self.longest)
        return [[math.exp(rng.uniform(low, high)) for _ in range(self.runs)] for _ in range(self.waits)]


WORKLOADS = (
    Workload("1", waits=1, runs=1000),
    Workload("1", waits=1, runs=1000, poll_interval=10),
    Workload("8", waits=8, runs=125),
    Workload("8", waits=8, runs=125, poll_interval=10),
    Workload("200", waits=200, runs=10),
    Workload("200", waits=200, runs=10, poll_interval=10),
    Workload("200, each in a compartment of its own", waits=200, runs=10, compartments=200),
    Workload("1,000", waits=1000, runs=4),
    Workload("1,000", waits=1000, runs=4, poll_interval=10),
    Workload("10,000", waits=10_000, runs=2),
    Workload("beyond the rate limit: 2,000, each in a compartment of its own", 2000, 2, 2000),
)


@dataclass(frozen=True)
class DelayFigures:
    """:param requests: per run, on average.
    :param delays: seconds from the end of each run to its notice, in order.
    """

    requests: float
    delays: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.delays)

    @property
    def p99(self) -> float:
        return self.delays[int(len(self.delays) * 0.99)]

    @property
    def longest(self) -> float:
        return self.delays[-1]


def with_poller(workload: Workload, durations: list[list[float]]) -> DelayFigures:
    """Wait for the runs through the poller."""
    service = SimulatedService(get_seconds=0.05, page_seconds=0.2)
    delays: list[float] = []

    async def repeat(poller: RunPoller, number: int, begin: float) -> None:
        await asyncio.sleep(begin)
        compartment = f"compartment-{number % workload.compartments}"
        for seconds in durations[number]:
            now = asyncio.get_running_loop().time()
            run = service.add(seconds, created=now, compartment=compartment)
            await poller.wait_for(
                run.id,
                states=SUCCESS_STATES,
                poll_interval=workload.poll_interval,
                compartment_id=compartment,
            )
            delays.append(asyncio.get_running_loop().time() - run.ended)
            service.remove(run)

    async def main() -> None:
        poller = RunPoller(service.make)
        rng = random.Random(1)
        # As if the waits had begun at any time before.
        begins = [rng.uniform(0, 600) for _ in durations]
        await asyncio.gather(*(repeat(poller, number, begins[number]) for number in range(len(durations))))
        await poller.close()

    virtual_time.run(main())
    return DelayFigures(service.requests.total() / len(delays), sorted(delays))


def with_fixed_interval(workload: Workload, durations: list[list[float]]) -> DelayFigures:
    """Compute the figures of one GetRun per ``poll_interval``, which begins at a random moment."""
    rng, interval = random.Random(2), workload.poll_interval
    requests, delays = 0, []
    for seconds in (seconds for each in durations for seconds in each):
        first = rng.uniform(0, interval)
        count = max(1, math.ceil((seconds - first) / interval) + 1)
        requests += count
        delays.append(first + (count - 1) * interval - seconds)
    return DelayFigures(requests / len(delays), sorted(delays))


def report(workloads: Sequence[Workload]) -> str:
    header = ("waits at a time", "poll_interval", "requests per run", "fixed", "ratio")
    rows = [(*header, "p50", "fixed", "ratio", "p99", "fixed", "ratio", "longest")]
    for workload in workloads:
        durations = workload.durations(random.Random(7))
        ours, fixed = with_poller(workload, durations), with_fixed_interval(workload, durations)
        rows.append(
            (
                workload.name,
                f"{workload.poll_interval:g} s",
                f"{ours.requests:.2f}",
                f"{fixed.requests:.1f}",
                f"{fixed.requests / ours.requests:.1f}x fewer",
                f"{ours.median:.1f} s",
                f"{fixed.median:.1f} s",
                f"{ours.median / fixed.median:.2f}",
                f"{ours.p99:.1f} s",
                f"{fixed.p99:.1f} s",
                f"{ours.p99 / fixed.p99:.2f}",
                f"{ours.longest:.1f} s",
            )
        )
    return table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--waits", type=int, nargs="*", help="only with these numbers of waits")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="poller: %(message)s")
    print(report([each for each in WORKLOADS if not arguments.waits or each.waits in arguments.waits]))


if __name__ == "__main__":
    main()
