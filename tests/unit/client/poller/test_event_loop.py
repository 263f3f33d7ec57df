"""Thousands of coroutines that wake together continue in slices."""

from __future__ import annotations

import asyncio
from collections import Counter

from airflow_provider_dataflow.client.poller.event_loop import wait_for_start
from airflow_provider_dataflow.polling import MAX_STARTS_PER_ITERATION


async def test_coroutines_that_wake_together_start_in_slices():
    iteration, starts = 0, Counter[int]()

    async def count_iterations() -> None:
        nonlocal iteration
        while True:
            await asyncio.sleep(0)
            iteration += 1

    async def start() -> None:
        await wait_for_start()
        starts[iteration] += 1

    counting = asyncio.create_task(count_iterations())
    waiting = [asyncio.create_task(start()) for _ in range(10 * MAX_STARTS_PER_ITERATION)]
    # One that leaves takes no share, and delays no other.
    waiting[-5].cancel()
    await asyncio.wait(waiting, timeout=60)
    counting.cancel()
    assert starts.total() == len(waiting) - 1
    assert max(starts.values()) <= MAX_STARTS_PER_ITERATION
    assert len(starts) == 10


async def test_coroutine_that_wakes_alone_starts_at_once():
    for _ in range(3):
        async with asyncio.timeout(1):
            await wait_for_start()
