"""Compartments that the credentials may see."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_dataflow.client.auth.access import is_loopback
from airflow_provider_dataflow.models.decoding import decode_text

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sdk_requests import SdkRequests


def visible_compartments(requests: SdkRequests, tenancy_id: str) -> list[str]:
    """Return the active compartments of a tenancy and the tenancy itself (ListCompartments of Identity).

    Empty for Local Data Flow, which has no Identity service and one compartment only.

    :raises ServiceError: the request failed.
    """
    access = requests.access
    if is_loopback(urlsplit(access.endpoint).hostname or ""):
        return []
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_client import regional_sdk_client

    client = regional_sdk_client(oci.identity.IdentityClient, access, requests.component)
    compartments = requests.pages(
        "ListCompartments",
        lambda compartment: decode_text(compartment.id),  # type: ignore[attr-defined]
        lambda page: client.list_compartments(
            tenancy_id,
            compartment_id_in_subtree=True,
            access_level="ACCESSIBLE",
            lifecycle_state="ACTIVE",
            **page,
        ),
    )
    return [tenancy_id, *compartments]
