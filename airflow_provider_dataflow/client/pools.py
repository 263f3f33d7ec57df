"""Operations on pools, in the synchronous client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_dataflow.client.sdk_requests import one_filter
from airflow_provider_dataflow.client.stoppable_resources import StoppableResourceClient
from airflow_provider_dataflow.models.pool import GONE_STATES, Pool

#: Filters of ListPools. The service accepts one of them besides the compartment.
POOL_FILTERS = ("display_name", "display_name_starts_with", "lifecycle_state", "owner_principal_id")


class PoolClient(StoppableResourceClient[Pool]):
    """Operations on pools. Each is retried, and raises ``ServiceError`` if that does not help.

    A change returns as soon as the service has accepted it; the pool's state changes later. A stop ends the
    runs in the pool. Only a STOPPED pool can be deleted.
    """

    api_noun = "Pool"
    sdk_noun = "pool"
    gone_states = GONE_STATES
    resource_class = Pool

    def list(self, compartment_id: str, **filters: Any) -> Iterator[Pool]:
        """ListPools. Yield summaries, which lack most attributes.

        Each page is requested when the pools before it are consumed.

        :param filters: at most one of ``POOL_FILTERS``.
        :raises InvalidArgument: an unknown filter, or more than one filter.
        """
        given = one_filter("ListPools", POOL_FILTERS, filters)
        return self._pages({"compartment_id": compartment_id, **given})
