"""Names of regions, as the SDK knows them."""

from __future__ import annotations

import re
from difflib import get_close_matches

from airflow_provider_dataflow.exceptions import InvalidConnection

#: What may be a name at all. The SDK takes anything with a dot for a domain, so it must not get that far.
NAME = re.compile(r"[a-z0-9-]+", re.ASCII | re.IGNORECASE)
#: How regions are called, for those that are younger than the installed SDK: area, place, number.
FORM = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}", re.ASCII)

ENDPOINT_TEMPLATE = "https://dataflow.{region}.oci.{secondLevelDomain}"


def check_name(region: str) -> None:
    """Refuse what can be no region, without the SDK.

    :raises InvalidConnection: it is none.
    """
    if not isinstance(region, str) or not NAME.fullmatch(region):
        raise InvalidConnection(f"region: expected a region's name like eu-frankfurt-1, got {region!r}")


def canonical(region: str) -> str:
    """The region's full name: ``fra`` is ``eu-frankfurt-1``. Imports the SDK.

    Regions are known from the SDK, and from where it looks itself: ``~/.oci/regions-config.json`` and the
    environment variable ``OCI_REGION_METADATA``. One of the usual form that is known to nobody is taken for a
    new one.

    :raises InvalidConnection: it is no region.
    """
    check_name(region)
    from airflow_provider_dataflow.client.sdk import oci

    name = str(oci.regions.get_region_from_short_name(region))
    if not oci.regions.is_region(name) and not FORM.fullmatch(name):
        near = sorted(known for known in oci.regions.REGIONS if name in known) or get_close_matches(
            name, oci.regions.REGIONS, n=2
        )
        meant = f"; did you mean {' or '.join(near[:3])}?" if near else ""
        raise InvalidConnection(
            f"region: expected a region's name like eu-frankfurt-1, got {region!r}{meant}"
        )
    return name


def is_known(region: str) -> bool:
    """Whether the SDK knows the region, and so its realm. Imports the SDK."""
    from airflow_provider_dataflow.client.sdk import oci

    return bool(oci.regions.is_region(oci.regions.get_region_from_short_name(region)))


def endpoint_of(region: str) -> str:
    """Data Flow's endpoint in a region, in the realm that the SDK finds it in. Imports the SDK.

    :raises InvalidConnection: it is no region.
    """
    from airflow_provider_dataflow.client.sdk import oci

    return str(
        oci.regions.endpoint_for(
            "data_flow", region=canonical(region), service_endpoint_template=ENDPOINT_TEMPLATE
        )
    )
