"""Long work on the event loop, in small bites."""

from __future__ import annotations

import asyncio
import time

#: Seconds.
BITE = 0.005


class Bites:
    """Lets others have their turn as soon as one has worked for long enough."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def rest(self) -> None:
        if time.perf_counter() - self._since > BITE:
            await asyncio.sleep(0)
            self._since = time.perf_counter()
