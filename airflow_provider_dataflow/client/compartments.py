"""The compartments of a tenancy that a caller may see."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_dataflow.client.auth.access import is_loopback
from airflow_provider_dataflow.client.retry import CONNECT_TIMEOUT, READ_TIMEOUT
from airflow_provider_dataflow.models.decoding import decode_text

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sdk_calls import Caller


def visible_compartments(caller: Caller, tenancy_id: str) -> list[str]:
    """ListCompartments of OCI's Identity service: all active ones below the tenancy, and the tenancy itself.

    Local Data Flow has no such service, and knows one compartment only; there the result is empty.

    :raises ServiceError: the service refused, or could not be asked.
    """
    access = caller.access
    if is_loopback(urlsplit(access.endpoint).hostname or ""):
        return []
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_client import Signer, with_our_session

    config = {"region": access.home_region}
    identity = oci.identity.IdentityClient(
        config, signer=Signer(access.signer), timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
    )
    client = with_our_session(identity, caller.part)
    compartments = caller.pages(
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
