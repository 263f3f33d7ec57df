"""Operations on resources that can be started and stopped, in the synchronous client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar
from uuid import uuid4

from airflow_provider_dataflow.client.display_names import only_resource_named
from airflow_provider_dataflow.client.sdk_requests import PAGE_SIZE, SdkRequests
from airflow_provider_dataflow.models.pool import Pool
from airflow_provider_dataflow.models.request_body import RequestBody
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint

R = TypeVar("R", Pool, SqlEndpoint)


class StoppableResourceClient(Generic[R]):
    """Operations on pools or SQL endpoints. Each is retried, and raises ``ServiceError`` if it still fails.

    A change returns as soon as the service has accepted it; the resource's state changes later.
    """

    #: Name of the resource in the API's operations, for example ``Pool`` in ``CreatePool``.
    api_noun: ClassVar[str]
    #: Name of the resource in the SDK's methods, for example ``pool`` in ``create_pool``.
    sdk_noun: ClassVar[str]
    #: States of a resource that is deleted or about to be.
    gone_states: ClassVar[frozenset[str]]
    resource_class: type[R]

    def __init__(self, requests: SdkRequests) -> None:
        self._requests = requests

    def create(self, details: RequestBody, retry_token: str) -> R:
        """Create a resource.

        :param retry_token: at most 64 characters. Another create with the same token returns the same
            resource.
        """
        return self._requests.read(
            f"Create{self.api_noun}",
            self.resource_class.from_api,
            lambda: self._sdk("create")(details.body(), opc_retry_token=retry_token),
        )

    def get(self, resource_id: str) -> R:
        """Return a resource. A deleted one may still be returned, as DELETED."""
        return self.get_with_etag(resource_id)[0]

    def get_with_etag(self, resource_id: str) -> tuple[R, str | None]:
        """Return a resource and its etag for :meth:`update`."""
        return self._requests.read_with_etag(
            f"Get{self.api_noun}", self.resource_class.from_api, lambda: self._sdk("get")(resource_id)
        )

    def named(self, compartment_id: str, display_name: str) -> R | None:
        """Return the summary of the resource with this name in the compartment, or ``None``.

        :raises AmbiguousName: several resources have the name.
        """
        found = self._pages({"compartment_id": compartment_id, "display_name": display_name})
        return only_resource_named(found, display_name, compartment_id, self.gone_states)

    def update(self, resource_id: str, changes: Mapping[str, Any], *, if_match: str | None = None) -> None:
        """Update a resource.

        :param changes: fields of the API's ``Update...Details``, by their names in the API.
        :param if_match: etag; the service refuses with 412 if the resource has another etag by now.
        """
        given = {"if_match": if_match} if if_match else {}
        self._requests.call(
            f"Update{self.api_noun}", lambda: self._sdk("update")(dict(changes), resource_id, **given)
        )

    def start(self, resource_id: str) -> None:
        """Start a resource, which becomes ACTIVE some time later."""
        self._send_with_token("Start{}", "start", resource_id)

    def stop(self, resource_id: str) -> None:
        """Stop a resource, which changes its state some time later."""
        self._send_with_token("Stop{}", "stop", resource_id)

    def delete(self, resource_id: str) -> None:
        """Delete a resource, which becomes DELETED some time later."""
        self._requests.call(f"Delete{self.api_noun}", lambda: self._sdk("delete")(resource_id))

    def change_compartment(self, resource_id: str, compartment_id: str) -> None:
        """Move a resource into another compartment."""
        body = {"compartmentId": compartment_id}
        self._send_with_token("Change{}Compartment", "change", resource_id, body, suffix="_compartment")

    def _pages(self, query: Mapping[str, Any]) -> Iterator[R]:
        """Yield the summaries of a list. Each page is requested when the items before it are consumed."""
        return self._requests.pages(
            f"List{self.api_noun}s",
            self.resource_class.from_api,
            lambda page: self._sdk("list", "s")(limit=PAGE_SIZE, **page, **query),
        )

    def _send_with_token(self, operation: str, verb: str, *arguments: Any, suffix: str = "") -> None:
        """Send a request with a retry token, so that the service accepts its retries."""
        token = uuid4().hex
        self._requests.call(
            operation.format(self.api_noun),
            lambda: self._sdk(verb, suffix)(*arguments, opc_retry_token=token),
        )

    def _sdk(self, verb: str, suffix: str = "") -> Callable[..., Any]:
        """Return a method of the SDK's client, for example ``start_pool``."""
        method: Callable[..., Any] = getattr(self._requests.sdk, f"{verb}_{self.sdk_noun}{suffix}")
        return method
