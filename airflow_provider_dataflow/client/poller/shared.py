"""Pollers shared by all triggers of a connection."""

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
class _SharedPoller:
    poller: RunPoller
    users: int = 0


async def _no_factory() -> AsyncDataFlowClient:
    raise RuntimeError("shared_poller() can be entered only once")


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _SharedPoller]] = WeakKeyDictionary()


class shared_poller:
    """Context manager of the running loop's poller for a key: created for the first user, closed by the last.

    :param key: identifies the connection: connection id, region, endpoint.
    :param client_factory: builds the client if the poller is new.
    """

    # A class, since a generator-based context manager needs three times the memory, for each waiting trigger.
    __slots__ = ("_factory", "_key", "_pollers_of_loop")

    def __init__(self, key: Hashable, client_factory: ClientFactory) -> None:
        # A forked process must neither use nor close its parent's sockets.
        self._key = (os.getpid(), key)
        self._factory = client_factory
        self._pollers_of_loop: dict[Hashable, _SharedPoller] = {}

    async def __aenter__(self) -> RunPoller:
        self._pollers_of_loop = _pollers.setdefault(asyncio.get_running_loop(), {})
        shared = self._pollers_of_loop.get(self._key)
        if shared is None:
            shared = self._pollers_of_loop[self._key] = _SharedPoller(RunPoller(self._factory))
        # Frees the hook that the factory refers to.
        self._factory = _no_factory
        shared.users += 1
        return shared.poller

    async def __aexit__(self, *_: object) -> None:
        shared = self._pollers_of_loop[self._key]
        shared.users -= 1
        if shared.users == 0:
            del self._pollers_of_loop[self._key]
            await shared.poller.close()
