"""Regions and realms, as the SDK knows them."""

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

#: Characters of a region's name. The SDK would take a name with a dot for a domain.
NAME = re.compile(r"[a-z0-9-]+", re.ASCII | re.IGNORECASE)
#: Form of a region's name (area, place, number), to accept regions that are newer than the installed SDK.
FORM = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}", re.ASCII)

ENDPOINT_TEMPLATE = "https://dataflow.{region}.oci.{secondLevelDomain}"
OBJECT_STORAGE_TEMPLATE = "https://objectstorage.{region}.{secondLevelDomain}"

METADATA_VARIABLE = "OCI_REGION_METADATA"
METADATA_FILE = "~/.oci/regions-config.json"
METADATA_KEYS = ("realmKey", "realmDomainComponent", "regionKey", "regionIdentifier")

_lock = threading.RLock()


def _new_lock() -> None:
    """Replace the lock in a forked process: a thread that only the parent has may hold it."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_new_lock)


@contextmanager
def _sdk_regions() -> Iterator[Any]:
    """Give one thread at a time access to the SDK's tables of regions.

    The SDK marks a metadata source as read before it reads it. Another thread that looks up a region in the
    meantime would not find it, and would send requests to the commercial realm.
    """
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_session import redirect_to_sdk_session

    with _lock, redirect_to_sdk_session():
        yield oci.regions


def full_name(region: str) -> str:
    """Return the full name of a region, for example of ``fra``. Imports the SDK and reads files.

    :raises InvalidConnection: region metadata is given, but malformed.
    """
    with _sdk_regions() as regions:
        try:
            return str(regions.get_region_from_short_name(region))
        except (TypeError, AttributeError, ValueError, OSError):
            # The SDK would skip the malformed source in the next lookup, and assume the commercial realm.
            raise InvalidConnection(
                _malformed_source() or f"region: {region!r} cannot be looked up"
            ) from None


def is_oci_host(host: str) -> bool:
    """Return whether a host is in the domain of a realm, region metadata included. Imports the SDK.

    :raises InvalidConnection: region metadata is given, but malformed.
    """
    with _sdk_regions() as regions:
        if _is_in(host, regions.REALMS.values()):
            return True
        # "-" is not a region. The SDK reads the metadata sources only for a region that it does not know.
        full_name("-")
        check_metadata()
        return _is_in(host, regions.REALMS.values())


def _is_in(host: str, domains: Iterable[str]) -> bool:
    return any(host.endswith(f".{domain}") for domain in domains)


def check_metadata() -> None:
    """Refuse malformed region metadata, which the SDK ignores silently.

    :raises InvalidConnection: the variable or the file is malformed; the message names it.
    """
    if message := _malformed_source():
        raise InvalidConnection(message)


def _malformed_source() -> str | None:
    """Return an error message about the sources of region metadata, or ``None``."""
    path = Path(METADATA_FILE).expanduser()
    expected = f"with the keys {', '.join(METADATA_KEYS)}"
    if path.is_file():
        try:
            entries = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
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
    """Refuse a malformed region name. Does not import the SDK.

    :raises InvalidConnection: the name is malformed.
    """
    if not isinstance(region, str) or not NAME.fullmatch(region):
        raise InvalidConnection(f"region: expected a region's name like eu-frankfurt-1, got {region!r}")


def resolve_region(region: str) -> str:
    """Return a region's full name, ``eu-frankfurt-1`` for ``fra``. Imports the SDK.

    The SDK knows its own regions and those in ``~/.oci/regions-config.json`` and ``OCI_REGION_METADATA``. An
    unknown name of the usual form is accepted, as a region that is newer than the SDK.

    :raises InvalidConnection: the name is malformed or unknown.
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


def is_known_region(region: str) -> bool:
    """Return whether the SDK knows the region, and so its realm. Imports the SDK."""
    name = full_name(region)
    with _sdk_regions() as regions:
        return bool(regions.is_region(name))


def endpoint_of_region(region: str) -> str:
    """Return Data Flow's endpoint in a region. Imports the SDK.

    :raises InvalidConnection: the name is malformed or unknown.
    """
    return _endpoint_for("data_flow", region, ENDPOINT_TEMPLATE)


def object_storage_endpoint_of_region(region: str) -> str:
    """Return Object Storage's endpoint in a region. Imports the SDK.

    :raises InvalidConnection: the name is malformed or unknown.
    """
    return _endpoint_for("object_storage", region, OBJECT_STORAGE_TEMPLATE)


def _endpoint_for(service: str, region: str, template: str) -> str:
    name = resolve_region(region)
    with _sdk_regions() as regions:
        return str(regions.endpoint_for(service, region=name, service_endpoint_template=template))
