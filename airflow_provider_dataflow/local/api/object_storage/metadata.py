"""Headers in which clients send and receive the metadata of objects."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from airflow_provider_dataflow.local.http.messages import ApiError
from airflow_provider_dataflow.local.state.objects.object_files import StoredObject

DEFAULT_CONTENT_TYPE = "application/octet-stream"
_STORED_HEADERS = (
    "content-type",
    "content-language",
    "content-encoding",
    "content-disposition",
    "cache-control",
)
USER_METADATA = "opc-meta-"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
# Headers are sent as Latin-1.
_HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]*")


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
        **version_headers(found),
        "accept-ranges": "bytes",
        "storage-tier": "Standard",
    }
    return headers


def version_headers(found: StoredObject) -> dict[str, str]:
    """Return the headers that identify the current content of an object."""
    return {
        "etag": found.etag,
        # The service sends one without versioning, too, and some clients need it.
        "version-id": str(uuid.uuid5(uuid.NAMESPACE_OID, found.etag)),
        "last-modified": http_date(found.modified),
    }


def checksum_headers(found: StoredObject, name: str) -> dict[str, str]:
    """Return the header with the MD5 of an object.

    :param name: name of the header unless the object was uploaded in parts
    """
    if found.metadata.multipart_md5 is not None:
        return {"opc-multipart-md5": found.metadata.multipart_md5}
    return {name: found.md5()}


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


def user_metadata_headers(metadata: Any) -> dict[str, str]:
    """Return the headers of user-defined metadata that is in the body of a request.

    :param metadata: values by name, which may have the prefix of the headers; ``None``: no metadata
    :raises ApiError: 400, it is not an object with strings
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ApiError(400, "InvalidMetadata", "Metadata must be an object with strings as values.")
    return checked_headers(
        {USER_METADATA + name.lower().removeprefix(USER_METADATA): text for name, text in metadata.items()}
    )


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return headers that came in the body of a request.

    :raises ApiError: 400, one cannot be sent as a header, and could add others to a response
    """
    for name, text in headers.items():
        if name == USER_METADATA or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
            raise ApiError(400, "InvalidMetadata", f"{name!r} with the value {text!r} cannot be a header.")
    return headers
