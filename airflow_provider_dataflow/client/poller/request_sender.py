"""The client of a connection, behind its rate limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_dataflow.client.poller.event_loop import job_error
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.client.responses import plain_text
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError
from airflow_provider_dataflow.polling import (
    MAX_OTHERS_AHEAD,
    MAX_REQUESTS_PER_SECOND,
    REQUEST_TIMEOUT_SECONDS,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.auth.access import Access

T = TypeVar("T")
ClientFactory = Callable[[], "Awaitable[AsyncDataFlowClient]"]


class RequestSender:
    """Sends all requests of a connection through one client and one rate limit.

    :param client_factory: builds the client when the first request is due.
    """

    def __init__(self, client_factory: ClientFactory) -> None:
        self._client_factory = client_factory
        self._client: AsyncDataFlowClient | None = None
        self._building_client = asyncio.Lock()
        self.rate_limit = RateLimit(MAX_REQUESTS_PER_SECOND)
        # First come, first served. Few others are ahead of a poll, however many there are.
        self._turn = asyncio.Lock()
        self._others = asyncio.Semaphore(MAX_OTHERS_AHEAD)
        self.access: Access | None = None
        """Credentials and endpoint of the client; kept after it is closed."""

    async def send(
        self,
        call: Callable[[AsyncDataFlowClient], Awaitable[T]],
        operation: str = "Request",
        *,
        is_poll: bool = False,
    ) -> T:
        """Send a request when the rate limit allows it, and return the response.

        :param operation: name of the request, for errors that do not name it.
        :param is_poll: True if it is sent by the poller, which sends only a few at a time.
        :raises ServiceError: as the client does, and for any other error of the request.
        :raises DataFlowError: the client cannot be built.
        """
        try:
            # Others keep their place until the response, or slow ones would take all connections from polls.
            async with (
                nullcontext() if is_poll else self._others,
                self.limited_client(has_place=True) as client,
                asyncio.timeout(REQUEST_TIMEOUT_SECONDS),
            ):
                return await call(client)
        except DataFlowError:
            raise
        except BaseException as error:  # noqa: BLE001 - a wait tolerates it as an error of the service
            cause = job_error(error)
            message = plain_text(f"{type(cause).__name__}: {cause}")
            if isinstance(cause, TimeoutError):
                message = f"it took longer than {REQUEST_TIMEOUT_SECONDS:.0f} s"
            raise ServiceError(operation=operation, message=message) from cause

    @asynccontextmanager
    async def limited_client(self, *, has_place: bool = False) -> AsyncIterator[AsyncDataFlowClient]:
        """Yield the client for one request, when the rate limit allows it. A 429 slows down all requests.

        :param has_place: True for a poll, and for another request that has its place among the few others.
        """
        loop = asyncio.get_running_loop()
        if (client := self._client) is None:
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                client = await self._build_client()
        async with nullcontext() if has_place else self._others, self._turn:
            # A request that is cancelled before takes no share.
            delay = self.rate_limit.reserve(loop.time())
            while delay > 0:
                await asyncio.sleep(delay)
                delay = self.rate_limit.recheck(loop.time())
            sent_at = loop.time()
        try:
            yield client
        except ServiceError as error:
            self.rate_limit.record_error(error, loop.time(), sent_at)
            raise

    async def _build_client(self) -> AsyncDataFlowClient:
        async with self._building_client:
            if self._client is None:
                client = await self._client_factory()
                self.rate_limit = getattr(client, "rate_limit", self.rate_limit)
                self.access = getattr(client, "access", None)
                self._client = client
            return self._client

    async def close(self) -> None:
        if self._client:
            await self._client.close()
            self._client = None
