"""Measure what it would save to poll twice as often around the usual end of an application's runs.

::

    python -m benchmarks.polling.usual_end

The poller does not do this; see ``docs/performance.md``. In virtual time, runs take 20 minutes with a
standard deviation of 2 or 8 minutes, and the poller is given what it would have to learn: both numbers. It
polls at half the interval while a run is within one standard deviation of the mean. Compared with the same
number of requests spent evenly, by a shorter interval.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

from airflow_provider_dataflow.client.poller.subscriptions import PolledRun
from benchmarks.load import table
from benchmarks.polling.delay import Workload, with_poller
from benchmarks.polling.simulated_service import EPOCH

MEAN_SECONDS = 1200.0
DEVIATIONS_SECONDS = (120.0, 480.0)
WORKLOADS = (Workload("1", 1, 400), Workload("8", 8, 50), Workload("200", 200, 6), Workload("1,000", 1000, 3))


@contextmanager
def _more_often_around_the_usual_end(deviation: float) -> Iterator[None]:
    interval = PolledRun.interval

    def shorter(run: PolledRun) -> float:
        age = EPOCH + asyncio.get_running_loop().time() - (run.created or 0.0)
        return interval(run) / (2 if abs(age - MEAN_SECONDS) <= deviation else 1)

    with mock.patch.object(PolledRun, "interval", shorter):
        yield


def main() -> None:
    header = ("waits at a time", "deviation", "polls", "requests per run", "p50", "p99", "longest")
    rows: list[tuple[str, ...]] = [header]
    for workload, deviation in itertools.product(WORKLOADS, DEVIATIONS_SECONDS):
        rng = random.Random(7)
        durations = [
            [max(60.0, rng.gauss(MEAN_SECONDS, deviation)) for _ in range(workload.runs)]
            for _ in range(workload.waits)
        ]
        usual = with_poller(workload, durations)
        with _more_often_around_the_usual_end(deviation):
            more_often = with_poller(workload, durations)
        interval = workload.poll_interval * usual.requests / more_often.requests
        evenly = with_poller(replace(workload, poll_interval=interval), durations)
        for polls, figures in (
            ("every 30 s", usual),
            ("more often around the usual end", more_often),
            (f"every {interval:.0f} s", evenly),
        ):
            delays = (f"{seconds:.1f} s" for seconds in (figures.median, figures.p99, figures.longest))
            rows.append((workload.name, f"{deviation:g} s", polls, f"{figures.requests:.2f}", *delays))
    print(table(rows))


if __name__ == "__main__":
    main()
