"""Operations on pools, in the synchronous client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from airflow_provider_dataflow.client.display_names import only_resource_named
from airflow_provider_dataflow.client.sdk_requests import PAGE_SIZE, SdkRequests, one_filter
from airflow_provider_dataflow.models.pool import GONE_STATES, Pool, PoolDetails

#: Filters of ListPools. The service accepts one of them besides the compartment.
POOL_FILTERS = ("display_name", "display_name_starts_with", "lifecycle_state", "owner_principal_id")


class PoolClient:
    """Operations on pools. Each is retried, and raises ``ServiceError`` if that does not help.

    A change returns as soon as the service has accepted it; the pool's state changes later.
    """

    def __init__(self, requests: SdkRequests) -> None:
        self._requests = requests

    def create(self, details: PoolDetails, retry_token: str) -> Pool:
        """CreatePool.

        :param retry_token: at most 64 characters. Another create with the same token returns the same pool.
        """
        return self._requests.read(
            "CreatePool",
            Pool.from_api,
            lambda: self._requests.sdk.create_pool(details.body(), opc_retry_token=retry_token),
        )

    def get(self, pool_id: str) -> Pool:
        """GetPool. A deleted pool may still be returned, as DELETED."""
        return self.get_with_etag(pool_id)[0]

    def get_with_etag(self, pool_id: str) -> tuple[Pool, str | None]:
        """GetPool, with the etag for :meth:`update`."""
        return self._requests.read_with_etag(
            "GetPool", Pool.from_api, lambda: self._requests.sdk.get_pool(pool_id)
        )

    def list(self, compartment_id: str, **filters: Any) -> Iterator[Pool]:
        """ListPools. Yield summaries, which lack most attributes.

        Each page is requested when the pools before it are consumed.

        :param filters: at most one of ``POOL_FILTERS``.
        :raises InvalidArgument: an unknown filter, or more than one filter.
        """
        given = one_filter("ListPools", POOL_FILTERS, filters)
        return self._requests.pages(
            "ListPools",
            Pool.from_api,
            lambda page: self._requests.sdk.list_pools(compartment_id, limit=PAGE_SIZE, **page, **given),
        )

    def named(self, compartment_id: str, display_name: str) -> Pool | None:
        """Return the summary of the pool with this name in the compartment, or ``None``.

        :raises AmbiguousName: several pools have the name.
        """
        return only_resource_named(
            self.list(compartment_id, display_name=display_name), display_name, compartment_id, GONE_STATES
        )

    def update(self, pool_id: str, changes: Mapping[str, Any], *, if_match: str | None = None) -> None:
        """UpdatePool.

        :param changes: fields of ``UpdatePoolDetails``, by their names in the API.
        :param if_match: etag; the service refuses with 412 if the pool has another etag by now.
        """
        given = {"if_match": if_match} if if_match else {}
        self._requests.call(
            "UpdatePool", lambda: self._requests.sdk.update_pool(dict(changes), pool_id, **given)
        )

    def start(self, pool_id: str) -> None:
        """StartPool. The pool becomes ACTIVE some time later."""
        self._send_with_token(
            "StartPool", lambda token: self._requests.sdk.start_pool(pool_id, opc_retry_token=token)
        )

    def stop(self, pool_id: str) -> None:
        """StopPool. Ends the runs in the pool, which becomes STOPPED some time later."""
        self._send_with_token(
            "StopPool", lambda token: self._requests.sdk.stop_pool(pool_id, opc_retry_token=token)
        )

    def delete(self, pool_id: str) -> None:
        """DeletePool, for a STOPPED pool, which becomes DELETED some time later."""
        self._requests.call("DeletePool", lambda: self._requests.sdk.delete_pool(pool_id))

    def change_compartment(self, pool_id: str, compartment_id: str) -> None:
        """ChangePoolCompartment."""
        self._send_with_token(
            "ChangePoolCompartment",
            lambda token: self._requests.sdk.change_pool_compartment(
                pool_id, {"compartmentId": compartment_id}, opc_retry_token=token
            ),
        )

    def _send_with_token(self, operation: str, send: Callable[[str], Any]) -> None:
        """Send a request with a retry token, so that the service accepts its retries."""
        token = uuid4().hex
        self._requests.call(operation, lambda: send(token))
