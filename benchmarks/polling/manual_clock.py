"""Run the real client and poller in virtual time against a Local Data Flow with a manual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.local import LocalDataFlow
from benchmarks.polling import virtual_time
from benchmarks.polling.virtual_time import VirtualTimeLoop

T = TypeVar("T")


class _Client(AsyncDataFlowClient):
    """Stops the virtual time while a request is in flight."""

    async def _fetch(self, operation: str, method: str, path: str) -> tuple[bytes, Mapping[str, str]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.pending_external += 1
        try:
            return await super()._fetch(operation, method, path)
        finally:
            loop.pending_external -= 1


def run(service: LocalDataFlow, main: Callable[[RunPoller], Awaitable[T]]) -> T:
    """Run ``main(poller)``, and advance the service's clock with the virtual time.

    Requests take no virtual time. The service must have been started with ``clock="manual"``.
    """
    identity = service.identity
    key = ApiKey(identity.user, identity.tenancy, identity.fingerprint, identity.private_key)
    access = Access(key, identity.region, service.endpoint)
    started_at = service.now()

    def now() -> float:
        return started_at + asyncio.get_running_loop().time()

    async def run_with_poller() -> T:
        poller = RunPoller(lambda: _Client.create(lambda: access))
        try:
            return await main(poller)
        finally:
            await poller.close()

    def advance_service(seconds: float) -> None:
        service.advance(seconds)

    return virtual_time.run(run_with_poller(), advance_service)
