"""URLs of runs and buckets in OCI's console. Imports the SDK, so not for an event loop."""

from __future__ import annotations

import re
from urllib.parse import quote

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.local_service import is_local_service

COMMERCIAL_REALM = "oc1"
BUCKET_URI = re.compile(r"oci://([^/@]+)@([^/@]+)(/.*)?")


def run_page_url(access: Access, run_id: str) -> str:
    """Return the URL of a run's page in the console of its realm, or in Local Data Flow's."""
    endpoint = access.endpoint
    if is_local_service(endpoint):
        return f"{endpoint}/console/runs/{quote(run_id, safe='')}"
    return _console_url(access, f"data-flow/runs/details/{quote(run_id, safe='')}")


def bucket_page_url(access: Access, uri: str | None) -> str | None:
    """Return the URL of the page of an ``oci://bucket@namespace/``; ``None`` with Local Data Flow."""
    match = BUCKET_URI.fullmatch(uri or "")
    if match is None or is_local_service(access.endpoint):
        return None
    bucket, namespace = (quote(part, safe="") for part in match.group(1, 2))
    return _console_url(access, f"object-storage/buckets/{namespace}/{bucket}/objects")


def _console_url(access: Access, path: str) -> str:
    from airflow_provider_dataflow.client.sdk import oci

    realm = oci.regions.REGION_REALMS.get(access.home_region or "", COMMERCIAL_REALM)
    if realm == COMMERCIAL_REALM:
        region = f"?region={access.home_region}" if access.home_region else ""
        return f"https://cloud.oracle.com/{path}{region}"
    # Other realms have a console per region.
    return f"https://console.{access.home_region}.{oci.regions.REALMS[realm]}/{path}"
