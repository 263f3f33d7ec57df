"""Who uses which poller."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.poller.request_sender import ClientFactory

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient


@dataclass
class _Shared:
    poller: RunPoller
    users: int = 0


async def _used_up() -> AsyncDataFlowClient:
    raise RuntimeError("a shared_poller is for one use")


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()


class shared_poller:
    """The poller of this key on the running loop: made for the first user, closed after the last.

    :param key: what tells connections apart: connection id, region, endpoint.
    :param client_factory: makes the client, if the poller has to be made.
    """

    # A class, since a generator for each of ten thousand waiting triggers weighs three times as much.
    __slots__ = ("_factory", "_key", "_of_this_loop")

    def __init__(self, key: Hashable, client_factory: ClientFactory) -> None:
        # A forked process has the parent's sockets, which are not its own to use, nor to close.
        self._key = (os.getpid(), key)
        self._factory = client_factory
        self._of_this_loop: dict[Hashable, _Shared] = {}

    async def __aenter__(self) -> RunPoller:
        self._of_this_loop = _pollers.setdefault(asyncio.get_running_loop(), {})
        shared = self._of_this_loop.get(self._key)
        if shared is None:
            shared = self._of_this_loop[self._key] = _Shared(RunPoller(self._factory))
        # Whatever it holds on to, such as a hook, need not wait with us.
        self._factory = _used_up
        shared.users += 1
        return shared.poller

    async def __aexit__(self, *_: object) -> None:
        shared = self._of_this_loop[self._key]
        shared.users -= 1
        if shared.users == 0:
            del self._of_this_loop[self._key]
            await shared.poller.close()
