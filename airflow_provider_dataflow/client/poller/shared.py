"""Who uses which poller."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_provider_dataflow.client.poller.runs import ClientFactory, RunPoller


@dataclass
class _Shared:
    poller: RunPoller
    users: int = 0


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_poller(key: Hashable, client_factory: ClientFactory) -> AsyncIterator[RunPoller]:
    """The poller of this key on the running loop: made for the first user, closed after the last.

    :param key: what tells connections apart: connection id, region, endpoint.
    :param client_factory: makes the client, if the poller has to be made.
    """
    of_this_loop = _pollers.setdefault(asyncio.get_running_loop(), {})
    # A forked process has the parent's sockets, which are not its own to use, nor to close.
    own_key = (os.getpid(), key)
    shared = of_this_loop.get(own_key)
    if shared is None:
        shared = of_this_loop[own_key] = _Shared(RunPoller(client_factory))
    shared.users += 1
    try:
        yield shared.poller
    finally:
        shared.users -= 1
        if shared.users == 0:
            del of_this_loop[own_key]
            await shared.poller.close()
