"""How the synchronous client calls: the OCI SDK, with explicit timeouts, retries and typed errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

from tenacity import retry_if_exception

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.token_request import SIGN_IN
from airflow_provider_dataflow.client.network_errors import is_network_error, root_message
from airflow_provider_dataflow.client.responses import (
    Pages,
    exchange,
    plain_name,
    plain_text,
    reading,
    rows_of,
    unexpected,
)
from airflow_provider_dataflow.client.retry import retry_after, retrying
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, ServiceError

PAGE_SIZE = 100

R = TypeVar("R")
T = TypeVar("T")


class Caller:
    """Calls Data Flow. Bodies are exchanged as JSON, so that what the SDK does not know yet is kept.

    :param part: which part of Airflow calls: in the user agent, so that OCI's audit log tells who cancelled.
    """

    def __init__(self, access: Access, part: str = "worker") -> None:
        self.access = access
        self.part = part

    @cached_property
    def sdk(self) -> Any:
        from airflow_provider_dataflow.client.sdk_client import sdk_client

        return sdk_client(self.access, self.part)

    def call(self, operation: str, call: Callable[[], Any], *, repeatable: bool = True) -> Any:
        """Make a call, and repeat it as long as it may succeed later.

        :param repeatable: whether the call does no harm if it is made twice. Otherwise it is repeated only
            where the service says that it has not been carried out.
        :raises ServiceError: after bounded retries.
        """

        return self._attempts(operation, call, lambda response: response, repeatable)

    def _attempts(
        self, operation: str, call: Callable[[], Any], read: Callable[[Any], T], repeatable: bool = True
    ) -> T:
        """Make a call and read its response; both again as long as that may help."""

        def attempt() -> T:
            exchange.is_sent = False
            try:
                response = call()
            except DataFlowError:
                raise
            except Exception as error:
                translated = self.translated(operation, error)
                if translated is error:
                    raise
                raise translated from None
            with reading(operation, self.access.endpoint):
                return read(response)

        renewing = partial(self._with_what_is_new, attempt)
        if repeatable:
            return retrying()(renewing)
        return retrying().copy(retry=retry_if_exception(_was_throttled))(renewing)

    def _with_what_is_new(self, attempt: Callable[[], T]) -> T:
        """Once more, if a 401 came of a token that ran out, or of a key that was rotated."""
        try:
            return attempt()
        except ServiceError as error:
            if error.status != 401 or error.operation == SIGN_IN:
                raise
            try:
                renewed = self.sdk.base_client.signer.renewed()
            except DataFlowError:
                raise
            except Exception:  # noqa: BLE001 - where the connection is kept is out of reach: the 401 counts
                raise error from None
            if not renewed:
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

        def read_response(response: Any) -> tuple[R, str | None]:
            return read(response.data), response.headers.get("etag")

        return self._attempts(operation, call, read_response, repeatable)

    def pages(
        self,
        operation: str,
        read: Callable[[Mapping[str, Any]], R],
        call: Callable[[Mapping[str, str]], Any],
    ) -> Iterator[R]:
        """Items of a list, page by page as they are consumed.

        :param call: takes the parameter of the page.
        """
        pages, page = Pages(), None

        def read_page(response: Any) -> tuple[list[R], str | None]:
            return [read(item) for item in rows_of(response.data)], response.next_page

        while True:
            given: dict[str, str] = {"page": page} if page else {}
            items, token = self._attempts(operation, partial(call, given), read_page)
            yield from items
            with reading(operation, self.access.endpoint):
                page = pages.next(token)
            if page is None:
                return

    def translated(self, operation: str, error: Exception) -> Exception:
        """Return the SDK's errors as ours: they can be pickled, and say where the request went.

        What the SDK raises before it has sent the request, such as an empty id, is an error of the caller.
        """
        from airflow_provider_dataflow.client.sdk import oci

        if isinstance(error, oci.exceptions.ServiceError):
            return ServiceError(
                operation=operation,
                message=plain_text(error.message) or "no message",
                status=error.status if error.status and error.status > 0 else None,
                code=plain_name(error.code),
                opc_request_id=plain_name(error.request_id),
                endpoint=self.access.endpoint,
                retry_after=retry_after(error.headers),
                date=plain_name((error.headers or {}).get("date")),
            )
        if is_network_error(error):
            return ServiceError(
                operation=operation, message=plain_text(root_message(error)), endpoint=self.access.endpoint
            )
        if exchange.is_sent:
            return unexpected(operation, self.access.endpoint, error)
        if type(error).__module__.partition(".")[0] == "oci":
            message = f"the SDK raised {type(error).__name__}: {root_message(error)}"
            return ServiceError(operation=operation, message=message, endpoint=self.access.endpoint)
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
