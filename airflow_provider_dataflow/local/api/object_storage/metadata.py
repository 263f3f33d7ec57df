"""Headers in which clients send and receive the metadata of objects."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate

from airflow_provider_dataflow.local.state.objects.object_files import ObjectMetadata, StoredObject

DEFAULT_CONTENT_TYPE = "application/octet-stream"
_STORED_HEADERS = (
    "content-type",
    "content-language",
    "content-encoding",
    "content-disposition",
    "cache-control",
)
USER_METADATA = "opc-meta-"


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an upload that are returned with the object."""
    return {
        name: value
        for name, value in headers.items()
        if name in _STORED_HEADERS or name.startswith(USER_METADATA)
    }


def object_headers(found: StoredObject) -> dict[str, str]:
    """Return the headers of a response with an object, or with its metadata only."""
    headers = {
        "content-type": DEFAULT_CONTENT_TYPE,
        **found.metadata.headers,
        **checksum_headers(found, "content-md5"),
        "etag": found.etag,
        "last-modified": http_date(found.modified),
        "accept-ranges": "bytes",
        "storage-tier": "Standard",
    }
    return headers


def checksum_headers(found: StoredObject, name: str) -> dict[str, str]:
    """Return the header with the MD5 of an object.

    :param name: name of the header unless the object was uploaded in parts
    """
    if found.metadata.multipart_md5 is not None:
        return {"opc-multipart-md5": found.metadata.multipart_md5}
    return {name: found.md5()}


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


def metadata_from_details(details: Mapping[str, str | None], user: Mapping[str, str]) -> ObjectMetadata:
    """Return the metadata that a request has in its body instead of its headers.

    :param details: values by the name of the header
    :param user: user-defined metadata; the prefix of the headers may be missing
    """
    headers = {name: value for name, value in details.items() if value is not None}
    for name, value in user.items():
        headers[USER_METADATA + name.lower().removeprefix(USER_METADATA)] = value
    return ObjectMetadata(headers)
