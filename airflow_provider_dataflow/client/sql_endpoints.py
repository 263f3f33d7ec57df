"""Operations on SQL endpoints, in the synchronous client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_dataflow.client.stoppable_resources import StoppableResourceClient
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.sql_endpoint import GONE_STATES, SqlEndpoint

#: Filters of ListSqlEndpoints, which the service accepts together.
SQL_ENDPOINT_FILTERS = ("display_name", "lifecycle_state", "sql_endpoint_id")


class SqlEndpointClient(StoppableResourceClient[SqlEndpoint]):
    """Operations on SQL endpoints. Each is retried, and raises ``ServiceError`` if that does not help.

    A change returns as soon as the service has accepted it; the endpoint's state changes later. A stopped
    endpoint is INACTIVE.
    """

    api_noun = "SqlEndpoint"
    sdk_noun = "sql_endpoint"
    gone_states = GONE_STATES
    resource_class = SqlEndpoint

    def list(self, compartment_id: str, **filters: Any) -> Iterator[SqlEndpoint]:
        """ListSqlEndpoints. Yield summaries, which lack ``banner_message``.

        Each page is requested when the endpoints before it are consumed.

        :param filters: any of ``SQL_ENDPOINT_FILTERS``.
        :raises InvalidArgument: an unknown filter.
        """
        given = {name: value for name, value in filters.items() if value is not None}
        for name in given:
            if name not in SQL_ENDPOINT_FILTERS:
                raise InvalidArgument(
                    name, f"unknown filter; expected some of {', '.join(SQL_ENDPOINT_FILTERS)}"
                )
        return self._pages({"compartment_id": compartment_id, **given})
