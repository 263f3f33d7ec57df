"""The client of a connection, and the pace at which it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_dataflow.client.poller.faults import as_fault
from airflow_provider_dataflow.client.poller.rate_limit import Pace
from airflow_provider_dataflow.client.responses import plain_text
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError
from airflow_provider_dataflow.polling import MAX_REQUESTS_PER_SECOND

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.auth.access import Access

#: Seconds for the client to be built, and for a request to be answered; both have shorter limits inside.
ANSWER_SECONDS = 300.0

T = TypeVar("T")
ClientFactory = Callable[[], "Awaitable[AsyncDataFlowClient]"]


class Sender:
    """Sends all requests of a connection: by one client, none before the pace of all allows it.

    :param client_factory: makes the client, when the first request is due.
    """

    def __init__(self, client_factory: ClientFactory) -> None:
        self._client_factory = client_factory
        self._client: AsyncDataFlowClient | None = None
        self._making_client = asyncio.Lock()
        self._pace = Pace(MAX_REQUESTS_PER_SECOND)
        self.access: Access | None = None
        """What the client was made of; still known when it is closed."""

    async def client(self) -> AsyncDataFlowClient:
        async with self._making_client:
            if self._client is None:
                client = await self._client_factory()
                self._pace = Pace(getattr(client, "max_requests_per_second", MAX_REQUESTS_PER_SECOND))
                self.access = getattr(client, "access", None)
                self._client = client
            return self._client

    async def send(
        self, call: Callable[[AsyncDataFlowClient], Awaitable[T]], operation: str = "Request"
    ) -> tuple[T, float]:
        """The answer, and the seconds that it took.

        :param operation: names the request where an error does not.
        :raises ServiceError: as the client does, and for whatever else goes wrong with the request.
        :raises DataFlowError: the client cannot be built.
        """
        loop = asyncio.get_running_loop()
        try:
            async with self.turn() as client:
                sent = loop.time()
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await call(client)
            return answer, loop.time() - sent
        except DataFlowError:
            raise
        except BaseException as error:  # noqa: BLE001 - a wait tolerates it as an error of the service
            fault = as_fault(error)
            message = plain_text(f"{type(fault).__name__}: {fault}")
            if isinstance(fault, TimeoutError):
                message = f"it took longer than {ANSWER_SECONDS:.0f} s"
            raise ServiceError(operation=operation, message=message) from fault

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncDataFlowClient]:
        """The client, for one request, when the pace of all allows it. Throttled, it slows down all."""
        loop = asyncio.get_running_loop()
        if (client := self._client) is None:
            async with asyncio.timeout(ANSWER_SECONDS):
                client = await self.client()
        while (delay := self._pace.delay(loop.time())) > 0:  # noqa: ASYNC110 - it is time that is waited for
            await asyncio.sleep(delay)
        sent = loop.time()
        self._pace.sent(sent)
        try:
            yield client
        except ServiceError as error:
            if error.status == 429 or error.retry_after is not None:
                self._pace.throttled(loop.time(), sent, error.retry_after)
            raise

    async def close(self) -> None:
        if self._client:
            await self._client.close()
            self._client = None
