"""Asynchronous client, for the triggerer: aiohttp with the shared signers."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from multidict import CIMultiDict

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.signer import SharedSigner, sign_aiohttp
from airflow_provider_dataflow.client.logs.read import Gunzip
from airflow_provider_dataflow.client.network_settings import NetworkSettings
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.client.resolver import ThreadResolver
from airflow_provider_dataflow.client.responses import (
    error_of,
    json_of,
    plain_name,
    plain_text,
    reading,
    rows_of,
)
from airflow_provider_dataflow.client.retry import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, retry_after
from airflow_provider_dataflow.client.threads import in_thread
from airflow_provider_dataflow.client.user_agent import user_agent
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.field_names import camel_case
from airflow_provider_dataflow.models.pool import Pool
from airflow_provider_dataflow.models.run import Run, RunLog
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint
from airflow_provider_dataflow.models.statement import Statement
from airflow_provider_dataflow.polling import MAX_CONNECTIONS, MAX_REQUESTS_PER_SECOND

API_PATH = "/20200129"
#: Maximum connections for log downloads, so that they cannot starve status polls.
MAX_LOG_CONNECTIONS = 2
#: Chunks of a log, compressed; decompressed, they can be a thousand times as long.
LOG_CHUNK_BYTES = 16 * 1024
#: Limit of other responses. A page of 1,000 runs has about four million bytes.
MAX_BODY_BYTES = 64 * 1024 * 1024
#: Limit from a request to the last byte of its response, except for logs.
TOTAL_TIMEOUT_SECONDS = 150


@dataclass(frozen=True, slots=True)
class RunPage:
    """Page of ListRuns. Its runs stay JSON, since the poller reads few of them.

    :param rows: the runs (``RunSummary``), newest first.
    :param next_page: token of the next page, if there is one.
    """

    rows: list[dict[str, Any]]
    next_page: str | None = None


R = TypeVar("R")


class AsyncDataFlowClient:
    """Asynchronous client of Data Flow, for one connection and one event loop.

    Create it with :meth:`create`, which signs in and reads files in a thread.
    """

    def __init__(
        self,
        endpoint: str,
        signer: SharedSigner,
        *,
        rate_limit: RateLimit | None = None,
        component: str = "worker",
        network: NetworkSettings | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        network = network or NetworkSettings()
        self.endpoint = endpoint
        self.access: Access | None = None
        """Access to create another client with."""
        self.rate_limit = rate_limit or RateLimit(MAX_REQUESTS_PER_SECOND)
        """Applied by the poller, which sends all requests."""
        self._signer = signer
        self._proxy_authorization = network.proxy_authorization
        self._log_slots = asyncio.Semaphore(MAX_LOG_CONNECTIONS)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, ssl=ssl_context or True, resolver=ThreadResolver()
            ),
            headers={"User-Agent": user_agent(component)},
            timeout=_timeout(),
            # Ignore cookies that a gateway sets.
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(self._sign,),
            # network_settings reads the environment; aiohttp's rules differ from the SDK's.
            trust_env=False,
            proxy=network.proxy_address,
        )

    @classmethod
    async def create(
        cls,
        access: Callable[[], Access],
        rate_limit: RateLimit | None = None,
        component: str = "worker",
    ) -> Self:
        """Create a client. Looks up the connection, imports the SDK and signs in, all in a thread.

        :param access: looks up the connection.
        :param rate_limit: of the connection. Default: a new one.
        :param component: component of Airflow that calls, for the User-Agent.
        :raises InvalidConnection: the connection cannot be used.
        :raises ServiceError: the sign-in failed.
        """

        def prepare() -> tuple[Access, ssl.SSLContext | None]:
            resolved = access()
            resolved.prepare()
            return resolved, resolved.network.ssl_context()

        resolved, ssl_context = await in_thread(prepare)
        # Cached properties by now, so nothing blocks here.
        client = cls(
            resolved.endpoint,
            resolved.signer,
            rate_limit=rate_limit,
            component=component,
            network=resolved.network,
            ssl_context=ssl_context,
        )
        client.access = resolved
        return client

    async def get_run(self, run_id: str) -> Run:
        """GetRun, without retries.

        :raises ServiceError: the request failed, or its response is not a run.
        """
        return await self._get("GetRun", f"/runs/{quote(run_id, safe='')}", Run.from_api)

    async def get_pool(self, pool_id: str) -> Pool:
        """GetPool, without retries.

        :raises ServiceError: the request failed, or its response is not a pool.
        """
        return await self._get("GetPool", f"/pools/{quote(pool_id, safe='')}", Pool.from_api)

    async def get_sql_endpoint(self, sql_endpoint_id: str) -> SqlEndpoint:
        """GetSqlEndpoint, without retries.

        :raises ServiceError: the request failed, or its response is not a SQL endpoint.
        """
        path = f"/sqlEndpoints/{quote(sql_endpoint_id, safe='')}"
        return await self._get("GetSqlEndpoint", path, SqlEndpoint.from_api)

    async def get_statement(self, run_id: str, statement_id: int) -> Statement:
        """GetStatement, without retries.

        :raises ServiceError: the request failed, or its response is not a statement.
        """
        path = f"/runs/{quote(run_id, safe='')}/statements/{int(statement_id)}"
        return await self._get("GetStatement", path, Statement.from_api)

    async def _get(self, operation: str, path: str, read: Callable[[Any], R]) -> R:
        body, _ = await self._fetch(operation, "GET", path)
        with reading(operation, self.endpoint):
            return read(json_of(body))

    async def list_run_logs(self, run_id: str) -> list[RunLog]:
        """ListRunLogs, without retries. Reads the first page only, since a run has about five logs.

        :raises ServiceError: the request failed, or its response is not a list of logs.
        """
        async with self._log_slots:
            return await self._get(
                "ListRunLogs",
                f"/runs/{quote(run_id, safe='')}/logs",
                lambda body: [RunLog.from_api(item) for item in rows_of(body)],
            )

    async def get_run_log(self, run_id: str, name: str) -> AsyncGenerator[bytes, None]:
        """GetRunLog, without retries: yield the log's bytes, decompressed, in chunks as they arrive.

        Close the iterator if it is not read to its end.

        :raises ServiceError: the request failed, or the response broke off.
        """
        operation, gunzip = "GetRunLog", Gunzip()
        path = f"/runs/{quote(run_id, safe='')}/logs/{quote(name, safe='')}"
        async with (
            self._log_slots,
            self._response(
                operation,
                "GET",
                path,
                accept="application/octet-stream",
                # aiohttp would decompress on the event loop.
                auto_decompress=False,
            ) as response,
        ):
            if response.status != 200:
                raise self._service_error(operation, response, await _read_body(response))
            async for chunk in response.content.iter_chunked(LOG_CHUNK_BYTES):
                pieces: list[bytes] = await in_thread(partial(list, gunzip.feed(chunk)))
                for piece in pieces:
                    yield piece
            if rest := gunzip.finish():
                yield rest

    async def list_runs_page(
        self, compartment_id: str, *, limit: int, page: str | None = None, **filters: str
    ) -> RunPage:
        """One page of ListRuns, newest first.

        :param filters: at most one of the filters of :meth:`.DataFlowHook.list_runs`.
        :raises ServiceError: the request failed, or its response is not a list.
        """
        query = {
            "compartmentId": compartment_id,
            "limit": limit,
            "sortBy": "timeCreated",
            "sortOrder": "DESC",
        }
        query |= {camel_case(name): value for name, value in filters.items()}
        if page is not None:
            query["page"] = page
        body, headers = await self._fetch("ListRuns", "GET", f"/runs?{urlencode(query)}")
        with reading("ListRuns", self.endpoint):
            try:
                rows = _run_rows(body)
            except ValueError as error:
                raise ValueError(f"the answer is no list of runs: {error}") from error
            next_page = headers.get("opc-next-page") or None
            if next_page is not None and next_page == page:
                raise ValueError("the answer is no list of runs: its next page is itself")
            return RunPage(rows, next_page)

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _sign(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        # A middleware, since aiohttp may still normalise the URL before.
        sign_in = await self._signer.current_async()
        sign_aiohttp(sign_in, request)
        self._authorize_at_proxy(request)
        response = await handler(request)
        if response.status == 401 and await self._signer.refresh_after_401_async(sign_in):
            # The token had expired or the key was rotated.
            response.release()
            sign_aiohttp(await self._signer.current_async(), request)
            response = await handler(request)
        return response

    def _authorize_at_proxy(self, request: aiohttp.ClientRequest) -> None:
        if not self._proxy_authorization:
            return
        if not request.is_ssl():
            request.headers["Proxy-Authorization"] = self._proxy_authorization
        else:
            request.proxy_headers = CIMultiDict(
                {**(request.proxy_headers or {}), "Proxy-Authorization": self._proxy_authorization}
            )

    async def _fetch(self, operation: str, method: str, path: str) -> tuple[bytes, Mapping[str, str]]:
        """Return body and headers of a response.

        :raises ServiceError: the request failed.
        """
        # Limit the total, so that a slow response does not occupy one of the poller's few connections.
        timeout = _timeout(TOTAL_TIMEOUT_SECONDS)
        async with self._response(operation, method, path, timeout=timeout) as response:
            body = await _read_body(response)
            if 200 <= response.status < 300:
                return body, response.headers
            raise self._service_error(operation, response, body)

    @asynccontextmanager
    async def _response(
        self, operation: str, method: str, path: str, *, accept: str = "application/json", **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response to a request. Errors while it is read are raised as ``ServiceError``."""
        with reading(operation, self.endpoint):
            try:
                async with self._session.request(
                    method,
                    f"{self.endpoint}{API_PATH}{path}",
                    headers={"accept": accept, "content-type": "application/json"},
                    # A redirect would send the signature to another host.
                    allow_redirects=False,
                    **options,
                ) as response:
                    yield response
            except (aiohttp.ClientError, TimeoutError, OSError, zlib.error) as error:
                message = plain_text(str(error)) or type(error).__name__
                raise ServiceError(operation=operation, message=message, endpoint=self.endpoint) from error

    def _service_error(self, operation: str, response: aiohttp.ClientResponse, body: bytes) -> ServiceError:
        try:
            code, message = error_of(json_of(body))
        except (ValueError, RecursionError):
            code, message = None, ""
        message = message or body[:200].decode(errors="replace") or response.reason or "no message"
        return ServiceError(
            operation=operation,
            message=plain_text(message),
            status=response.status,
            code=code,
            opc_request_id=plain_name(response.headers.get("opc-request-id")),
            endpoint=self.endpoint,
            retry_after=retry_after(response.headers),
            date=plain_name(response.headers.get("date")),
        )


def _timeout(total_seconds: float | None = None) -> aiohttp.ClientTimeout:
    """Return the limits of a request. Without a total, a log downloads for as long as bytes arrive."""
    return aiohttp.ClientTimeout(
        total_seconds,
        # Covers the request for a proxy's tunnel, which the other two do not.
        connect=CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS,
        sock_connect=CONNECT_TIMEOUT_SECONDS,
        sock_read=READ_TIMEOUT_SECONDS,
    )


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of a response.

    :raises ValueError: the body has more than ``MAX_BODY_BYTES``.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"the body has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _run_rows(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of a page of ListRuns.

    Runs on the loop for 6 ms with 1,000 rows. A thread would block it too, since ``json`` keeps the GIL.

    :raises ValueError: the body is no list of objects.
    """
    rows = rows_of(json_of(body))
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"expected a list of objects, got {type(row).__name__} in it")
    return rows
