"""Calls of the synchronous client about pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from airflow_provider_dataflow.client.display_names import only_one
from airflow_provider_dataflow.client.sdk_calls import PAGE_SIZE, Caller, one_filter
from airflow_provider_dataflow.models.pool import GONE_STATES, Pool, PoolDetails

#: What ListPools can be filtered by; the service takes one of them beside the compartment.
POOL_FILTERS = ("display_name", "display_name_starts_with", "lifecycle_state", "owner_principal_id")


class Pools:
    """Pools. Every call is repeated as long as that may help, and raises ``ServiceError`` then.

    All changes take their time: the calls return when the service has accepted them.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def create(self, details: PoolDetails, retry_token: str) -> Pool:
        """CreatePool.

        :param retry_token: at most 64 characters; a repeated create with it is answered with the same one.
        """
        return self._caller.read(
            "CreatePool",
            Pool.from_api,
            lambda: self._caller.sdk.create_pool(details.body(), opc_retry_token=retry_token),
        )

    def get(self, pool_id: str) -> Pool:
        """GetPool. One that was deleted may still be shown, as DELETED."""
        return self.get_with_etag(pool_id)[0]

    def get_with_etag(self, pool_id: str) -> tuple[Pool, str | None]:
        """GetPool, with the etag that :meth:`update` takes."""
        return self._caller.read_with_etag(
            "GetPool", Pool.from_api, lambda: self._caller.sdk.get_pool(pool_id)
        )

    def list(self, compartment_id: str, **filters: Any) -> Iterator[Pool]:
        """ListPools, page by page as they are consumed. Summaries: few of the attributes are there.

        :param filters: at most one of ``POOL_FILTERS``.
        :raises InvalidArgument: an unknown filter, or more than one.
        """
        given = one_filter("ListPools", POOL_FILTERS, filters)
        return self._caller.pages(
            "ListPools",
            Pool.from_api,
            lambda page: self._caller.sdk.list_pools(compartment_id, limit=PAGE_SIZE, **page, **given),
        )

    def named(self, compartment_id: str, display_name: str) -> Pool | None:
        """The pool of this name in the compartment, as a summary, if it is there.

        :raises AmbiguousName: there are several.
        """
        return only_one(
            self.list(compartment_id, display_name=display_name), display_name, compartment_id, GONE_STATES
        )

    def update(self, pool_id: str, changes: Mapping[str, Any], *, if_match: str | None = None) -> None:
        """UpdatePool.

        :param changes: fields of ``UpdatePoolDetails`` by the API's names.
        :param if_match: etag of the state that the changes were made from; 412 if there is another by now.
        """
        given = {"if_match": if_match} if if_match else {}
        self._caller.call("UpdatePool", lambda: self._caller.sdk.update_pool(dict(changes), pool_id, **given))

    def start(self, pool_id: str) -> None:
        """StartPool. The pool is ACTIVE some time later."""
        self._act("StartPool", lambda token: self._caller.sdk.start_pool(pool_id, opc_retry_token=token))

    def stop(self, pool_id: str) -> None:
        """StopPool, which ends the runs in it. The pool is STOPPED some time later."""
        self._act("StopPool", lambda token: self._caller.sdk.stop_pool(pool_id, opc_retry_token=token))

    def delete(self, pool_id: str) -> None:
        """DeletePool, for pools that are stopped. The pool is DELETED some time later."""
        self._caller.call("DeletePool", lambda: self._caller.sdk.delete_pool(pool_id))

    def change_compartment(self, pool_id: str, compartment_id: str) -> None:
        """ChangePoolCompartment."""
        self._act(
            "ChangePoolCompartment",
            lambda token: self._caller.sdk.change_pool_compartment(
                pool_id, {"compartmentId": compartment_id}, opc_retry_token=token
            ),
        )

    def _act(self, operation: str, act: Callable[[str], Any]) -> None:
        """One action, however often it is sent: what was lost on the way back is not refused as a second."""
        token = uuid4().hex
        self._caller.call(operation, lambda: act(token))
