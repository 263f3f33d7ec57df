"""Yield to the event loop during long loops."""

from __future__ import annotations

import asyncio
import time

MAX_BLOCK_SECONDS = 0.005


class LoopYielder:
    """Lets other coroutines run during a long loop."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def yield_if_due(self) -> None:
        """Yield to the event loop after 5 ms of work."""
        if time.perf_counter() - self._since > MAX_BLOCK_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()
