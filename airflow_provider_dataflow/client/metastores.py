"""Metastores of Data Catalog, another service than Data Flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dataflow.models.decoding import decode_text

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sdk_requests import SdkRequests


def metastore_state(requests: SdkRequests, metastore_id: str) -> str:
    """Return the state of a metastore, for example ``ACTIVE`` (GetMetastore of Data Catalog).

    :raises ServiceError: the request failed.
    """
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_client import regional_sdk_client

    client = regional_sdk_client(oci.data_catalog.DataCatalogClient, requests.access, requests.component)
    response = requests.call("GetMetastore", lambda: client.get_metastore(metastore_id))
    return decode_text(response.data.lifecycle_state)
