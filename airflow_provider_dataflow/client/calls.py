"""How the synchronous client calls: the OCI SDK, with explicit timeouts, retries and typed errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

from tenacity import retry_if_exception

from airflow_provider_dataflow.client.access import Access
from airflow_provider_dataflow.client.retry import CONNECT_TIMEOUT, READ_TIMEOUT, retry_after, retrying
from airflow_provider_dataflow.exceptions import InvalidArgument, ServiceError

PAGE_SIZE = 100

R = TypeVar("R")


class Caller:
    """Calls Data Flow. Bodies are exchanged as JSON, so that what the SDK does not know yet is kept."""

    def __init__(self, access: Access) -> None:
        self.access = access

    @cached_property
    def sdk(self) -> Any:
        from oci.circuit_breaker import NoCircuitBreakerStrategy
        from oci.data_flow import DataFlowClient as SdkClient
        from oci.retry import NoneRetryStrategy

        config = {"region": self.access.region or "", **self.access.credentials.sdk_config()}
        return SdkClient(
            {name: value for name, value in config.items() if value},
            signer=self.access.signer,
            service_endpoint=self.access.endpoint,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            # The SDK's own retries ignore Retry-After and can sleep for 90 s; its default circuit breaker
            # is shared by every OCI client of the process.
            retry_strategy=NoneRetryStrategy(),
            circuit_breaker_strategy=NoCircuitBreakerStrategy(),
            skip_deserialization=True,
        )

    def call(self, operation: str, call: Callable[[], Any], *, repeatable: bool = True) -> Any:
        """Make a call, and repeat it as long as it may succeed later.

        :param repeatable: whether the call does no harm if it is made twice. Otherwise it is repeated only
            where the service says that it has not been carried out.
        :raises ServiceError: after bounded retries.
        """

        def attempt() -> Any:
            try:
                return call()
            except Exception as error:
                raise self.translated(operation, error) from error

        if repeatable:
            return retrying()(attempt)
        return retrying().copy(retry=retry_if_exception(_was_throttled))(attempt)

    def read(
        self,
        operation: str,
        read: Callable[[Mapping[str, Any]], R],
        call: Callable[[], Any],
        *,
        repeatable: bool = True,
    ) -> R:
        """Make a call whose answer is one resource.

        :raises ServiceError: after bounded retries, or if the answer is none.
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
        """As :meth:`read`, with what an update names to say which state of the resource it has seen."""
        response = self.call(operation, call, repeatable=repeatable)
        try:
            return read(response.data), response.headers.get("etag")
        except ValueError as error:
            raise ServiceError(
                operation=operation, message=str(error), endpoint=self.access.endpoint
            ) from error

    def pages(
        self,
        operation: str,
        read: Callable[[Mapping[str, Any]], R],
        call: Callable[[Mapping[str, str]], Any],
    ) -> Iterator[R]:
        """Items of a list, page by page as they are consumed.

        :param call: takes the parameter of the page.
        """
        page: dict[str, str] = {}
        while True:
            response = self.call(operation, partial(call, page))
            # Newer lists are wrapped in a collection.
            items = response.data["items"] if isinstance(response.data, Mapping) else response.data
            for item in items:
                yield read(item)
            if not response.next_page:
                return
            page = {"page": response.next_page}

    def translated(self, operation: str, error: Exception) -> Exception:
        """The SDK's errors as ours: they can be pickled, and say where the request went."""
        from oci.exceptions import ServiceError as SdkServiceError

        if isinstance(error, SdkServiceError):
            return ServiceError(
                operation=operation,
                message=str(error.message),
                status=error.status if error.status and error.status > 0 else None,
                code=error.code,
                opc_request_id=error.request_id,
                endpoint=self.access.endpoint,
                retry_after=retry_after(error.headers),
            )
        if _is_network_error(error):
            return ServiceError(
                operation=operation, message=_root_message(error), endpoint=self.access.endpoint
            )
        return error


def one_filter(operation: str, known: tuple[str, ...], filters: Mapping[str, Any]) -> dict[str, Any]:
    """The filter that is given, if one is: the service takes one beside the compartment.

    :raises InvalidArgument: an unknown filter, or more than one.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    for name in given:
        if name not in known:
            raise InvalidArgument(name, f"unknown filter; expected one of {', '.join(known)}")
    if len(given) > 1:
        raise InvalidArgument(
            " and ".join(given), f"{operation} takes one filter beside the compartment, not {len(given)}"
        )
    return given


def _was_throttled(error: BaseException) -> bool:
    return isinstance(error, ServiceError) and error.status == 429


def _is_network_error(error: Exception) -> bool:
    # The SDK vendors requests, whose errors are no relatives of the installed requests'.
    from oci._vendor.requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    return isinstance(error, (RequestException, HTTPError, OSError, EOFError))


def _root_message(error: BaseException) -> str:
    """What the network said, without the wrapping of three libraries."""
    message = str(error)
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        message = str(cause) or message
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return message[:300] or type(error).__name__
