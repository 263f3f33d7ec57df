"""Work that a killed trigger still does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

#: Seconds. Airflow gives ``on_kill`` 30.
KILL_TIMEOUT = 25

_kills: set[asyncio.Task[None]] = set()
"""Work under way: the loop itself holds tasks only weakly."""


async def outlive_cancellation(work: Coroutine[Any, Any, None]) -> None:
    """Do the work, within the time that Airflow leaves for it.

    Airflow cancels a killed trigger's coroutine again every second, so the work is done in a task of its own
    while those cancellations are absorbed.
    """
    kill = asyncio.create_task(work)
    _kills.add(kill)
    kill.add_done_callback(_kills.discard)
    loop = asyncio.get_running_loop()
    until = loop.time() + KILL_TIMEOUT
    while not kill.done() and loop.time() < until:
        try:
            await asyncio.wait({kill}, timeout=1)
        except asyncio.CancelledError:
            if (current := asyncio.current_task()) is not None:
                current.uncancel()
