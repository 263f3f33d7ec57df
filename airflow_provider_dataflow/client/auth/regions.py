"""Names of regions, as the SDK knows them."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidConnection

#: What may be a name at all. The SDK takes anything with a dot for a domain, so it must not get that far.
NAME = re.compile(r"[a-z0-9-]+", re.ASCII | re.IGNORECASE)
#: How regions are called, for those that are younger than the installed SDK: area, place, number.
FORM = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}", re.ASCII)

ENDPOINT_TEMPLATE = "https://dataflow.{region}.oci.{secondLevelDomain}"


METADATA_VARIABLE = "OCI_REGION_METADATA"
METADATA_FILE = "~/.oci/regions-config.json"
METADATA_KEYS = ("realmKey", "realmDomainComponent", "regionKey", "regionIdentifier")

_lock = threading.RLock()


def _new_lock() -> None:
    """Replace the lock in a forked process, whose parent may hold it for ever."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_new_lock)


@contextmanager
def _sdk_regions() -> Iterator[Any]:
    """Let one thread at a time use the SDK's tables of regions.

    The SDK notes that a file or a variable has been read before it reads it. Another thread that looks for
    the same region meanwhile would find nothing, and send requests to the commercial realm.
    """
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_session import our_session

    with _lock, our_session():
        yield oci.regions


def full_name(region: str) -> str:
    """Return the full name of a region that may be given by its short name. Imports the SDK, reads files.

    :raises InvalidConnection: region metadata is given, but malformed.
    """
    with _sdk_regions() as regions:
        try:
            return str(regions.get_region_from_short_name(region))
        except (TypeError, AttributeError, ValueError, OSError):
            # The next lookup would pass the malformed source over, and take the region for a commercial one.
            raise InvalidConnection(
                _malformed_source() or f"region: {region!r} cannot be looked up"
            ) from None


def is_of_oci(host: str) -> bool:
    """Tell whether a host is in the domain of a realm, also of one in region metadata. Imports the SDK.

    :raises InvalidConnection: region metadata is given, but malformed.
    """
    with _sdk_regions() as regions:
        if _is_in(host, regions.REALMS.values()):
            return True
        # The name of no region: the SDK reads its further sources only for a region that it does not know.
        full_name("-")
        check_metadata()
        return _is_in(host, regions.REALMS.values())


def _is_in(host: str, domains: Iterable[str]) -> bool:
    return any(host.endswith(f".{domain}") for domain in domains)


def check_metadata() -> None:
    """Refuse region metadata that the SDK would pass over in silence.

    :raises InvalidConnection: the variable or the file is malformed; it is named.
    """
    if message := _malformed_source():
        raise InvalidConnection(message)


def _malformed_source() -> str | None:
    """Return what is wrong with the sources of region metadata, or ``None``."""
    path = Path(METADATA_FILE).expanduser()
    expected = f"with the keys {', '.join(METADATA_KEYS)}"
    if path.is_file():
        try:
            entries = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
            return f"{METADATA_FILE}: cannot be read: {reason}"
        if not isinstance(entries, list) or not all(_is_metadata(entry) for entry in entries):
            return f"{METADATA_FILE}: expected a JSON array of objects {expected}"
    if text := os.environ.get(METADATA_VARIABLE):
        try:
            entry = json.loads(text)
        except ValueError:
            entry = None
        if not _is_metadata(entry):
            return f"{METADATA_VARIABLE}: expected a JSON object {expected}"
    return None


def _is_metadata(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) and entry[key] for key in METADATA_KEYS
    )


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
    name = full_name(region)
    with _sdk_regions() as regions:
        is_known, all_known = bool(regions.is_region(name)), list(regions.REGIONS)
    if is_known:
        return name
    check_metadata()
    if not FORM.fullmatch(name):
        near = sorted(known for known in all_known if name in known) or get_close_matches(
            name, all_known, n=2
        )
        meant = f"; did you mean {' or '.join(near[:3])}?" if near else ""
        raise InvalidConnection(
            f"region: expected a region's name like eu-frankfurt-1, got {region!r}{meant}"
        )
    return name


def is_known(region: str) -> bool:
    """Whether the SDK knows the region, and so its realm. Imports the SDK."""
    name = full_name(region)
    with _sdk_regions() as regions:
        return bool(regions.is_region(name))


def endpoint_of(region: str) -> str:
    """Data Flow's endpoint in a region, in the realm that the SDK finds it in. Imports the SDK.

    :raises InvalidConnection: it is no region.
    """
    name = canonical(region)
    with _sdk_regions() as regions:
        return str(
            regions.endpoint_for("data_flow", region=name, service_endpoint_template=ENDPOINT_TEMPLATE)
        )
