"""Requests through the OCI SDK, with timeouts, retries and typed errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

from tenacity import retry_if_exception

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.token_request import SIGN_IN
from airflow_provider_dataflow.client.network_errors import is_network_error, root_message
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.client.responses import (
    Pages,
    plain_name,
    plain_text,
    reading,
    request_progress,
    rows_of,
    unexpected,
)
from airflow_provider_dataflow.client.retry import RetryPolicy, retry_after
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, ServiceError

PAGE_SIZE = 100

R = TypeVar("R")
T = TypeVar("T")


class SdkRequests:
    """Sends requests to Data Flow through the SDK. Blocks.

    Bodies are JSON instead of the SDK's models, so that fields that the SDK does not know are not lost.

    :param component: component of Airflow that calls, for the User-Agent.
    :param rate_limit: of the connection, in a triggerer. Default: none.
    :param urgent: count the requests for the rate limit, but do not wait for it.
    """

    retry_policy = RetryPolicy()

    def __init__(
        self,
        access: Access,
        component: str = "worker",
        rate_limit: RateLimit | None = None,
        *,
        urgent: bool = False,
    ) -> None:
        self.access = access
        self.component = component
        self._rate_limit = rate_limit
        self._urgent = urgent

    @property
    def endpoint(self) -> str:
        """Base URL of the service, for error messages."""
        return self.access.endpoint

    @cached_property
    def sdk(self) -> Any:
        """The SDK's client."""
        from airflow_provider_dataflow.client.sdk_client import sdk_client

        return sdk_client(self.access, self.component)

    def call(self, operation: str, call: Callable[[], Any], *, repeatable: bool = True) -> Any:
        """Send a request with retries, and return the SDK's response.

        :param repeatable: whether it is safe to send the request twice. If not, it is retried after 429 only,
            which means that the service did nothing.
        :raises ServiceError: the request failed, after retries.
        """
        return self._send(operation, call, lambda response: response, repeatable)

    def _send(
        self, operation: str, call: Callable[[], Any], read: Callable[[Any], T], repeatable: bool = True
    ) -> T:
        """Send a request and read its response, with retries of both."""

        def attempt() -> T:
            request_progress.is_sent = False
            sent_at = self._wait_for_rate_limit(operation)
            try:
                response = call()
            except DataFlowError:
                raise
            except Exception as error:
                translated = self.translate_error(operation, error)
                if translated is error:
                    raise
                self._record_throttle(translated, sent_at)
                raise translated from None
            with reading(operation, self.endpoint):
                return read(response)

        retrying = self.retry_policy.retrying()
        if not repeatable:
            retrying = retrying.copy(retry=retry_if_exception(_was_throttled))
        return retrying(self._retry_once_after_401, attempt)

    def _wait_for_rate_limit(self, operation: str) -> float:
        """Wait until a request may be sent, and return the time on the monotonic clock."""
        if self._rate_limit is not None:
            if self._urgent:
                self._rate_limit.record_urgent()
            else:
                self._rate_limit.wait(operation)
        return time.monotonic()

    def _record_throttle(self, error: Exception, sent_at: float) -> None:
        if self._rate_limit is not None and isinstance(error, ServiceError):
            self._rate_limit.record_error(error, time.monotonic(), sent_at)

    def _retry_once_after_401(self, attempt: Callable[[], T]) -> T:
        """Retry if a refresh after a 401 changes the token or key, which may have expired or been rotated."""
        try:
            return attempt()
        except ServiceError as error:
            if error.status != 401 or error.operation == SIGN_IN:
                raise
            try:
                refreshed = self.sdk.base_client.signer.refresh_after_401()
            except DataFlowError:
                raise
            except Exception:  # noqa: BLE001 - the connection cannot be read again: raise the 401
                raise error from None
            if not refreshed:
                raise
            return attempt()

    def read(
        self,
        operation: str,
        read: Callable[[Mapping[str, Any]], R],
        call: Callable[[], Any],
        *,
        repeatable: bool = True,
    ) -> R:
        """Send a request, and return the resource in its response.

        :param read: reads the JSON of the resource.
        :raises ServiceError: the request failed, after retries, or its response is not the resource.
        """
        return self.read_with_etag(operation, read, call, repeatable=repeatable)[0]

    def read_with_etag(
        self,
        operation: str,
        read: Callable[[Mapping[str, Any]], R],
        call: Callable[[], Any],
        *,
        repeatable: bool = True,
    ) -> tuple[R, str | None]:
        """As :meth:`read`; also return the resource's etag, for a conditional update."""

        def read_response(response: Any) -> tuple[R, str | None]:
            return read(response.data), response.headers.get("etag")

        return self._send(operation, call, read_response, repeatable)

    def pages(
        self,
        operation: str,
        read: Callable[[Mapping[str, Any]], R],
        call: Callable[[Mapping[str, str]], Any],
    ) -> Iterator[R]:
        """Yield the items of a list. Request each page when the items before it are consumed.

        :param call: requests a page; takes its query parameters.
        """
        tokens, page = Pages(), None

        def read_page(response: Any) -> tuple[list[R], str | None]:
            return [read(item) for item in rows_of(response.data)], response.next_page

        while True:
            given: dict[str, str] = {"page": page} if page else {}
            items, token = self._send(operation, partial(call, given), read_page)
            yield from items
            with reading(operation, self.endpoint):
                page = tokens.next(token)
            if page is None:
                return

    def translate_error(self, operation: str, error: Exception) -> Exception:
        """Return the SDK's error as a ``ServiceError``, which can be pickled and names the endpoint.

        Errors before the request is sent, such as those for an empty id, are returned unchanged.
        """
        from airflow_provider_dataflow.client.sdk import oci

        if isinstance(error, oci.exceptions.ServiceError):
            return ServiceError(
                operation=operation,
                message=plain_text(error.message) or "no message",
                status=error.status if error.status and error.status > 0 else None,
                code=plain_name(error.code),
                opc_request_id=plain_name(error.request_id),
                endpoint=self.endpoint,
                retry_after=retry_after(error.headers),
                date=plain_name((error.headers or {}).get("date")),
            )
        if is_network_error(error):
            return ServiceError(
                operation=operation, message=plain_text(root_message(error)), endpoint=self.endpoint
            )
        if request_progress.is_sent:
            return unexpected(operation, self.endpoint, error)
        if type(error).__module__.partition(".")[0] == "oci":
            message = f"the SDK raised {type(error).__name__}: {root_message(error)}"
            return ServiceError(operation=operation, message=message, endpoint=self.endpoint)
        return error


def one_filter(operation: str, known: tuple[str, ...], filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters that are not ``None``. The service accepts one besides the compartment.

    :raises InvalidArgument: an unknown filter, or more than one filter.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    for name in given:
        if name not in known:
            raise InvalidArgument(name, f"unknown filter; expected one of {', '.join(known)}")
    if len(given) > 1:
        raise InvalidArgument(
            " and ".join(given), f"{operation} accepts one filter besides the compartment, got {len(given)}"
        )
    return given


def _was_throttled(error: BaseException) -> bool:
    return isinstance(error, ServiceError) and error.status == 429
