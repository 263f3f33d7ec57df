"""Conditions of requests on the current object: ``if-match`` and ``if-none-match``."""

from __future__ import annotations

from airflow_provider_dataflow.local.http.messages import ApiError
from airflow_provider_dataflow.local.state.objects.object_files import Check, StoredObject


def conditions(if_match: str | None, if_none_match: str | None) -> Check:
    """Return a check of the current object for a request that changes it.

    The check raises ``ApiError`` 412.

    :raises ApiError: 400, ``if-none-match`` is not ``*``, the only value that the API allows
    """
    if if_none_match is not None and if_none_match.strip() != "*":
        raise ApiError(400, "InvalidConditionalHeaders", "The only valid value of if-none-match is *.")

    def check(current: StoredObject | None) -> None:
        if if_none_match is not None and current is not None:
            message = f"The object '{current.name}' exists, and the request has If-None-Match: *"
            raise ApiError(412, "IfNoneMatchFailed", message)
        if if_match is not None and (current is None or not matches(if_match, current.etag)):
            raise ApiError(412, "IfMatchFailed", "The If-Match header does not match the etag of the object.")

    return check


def matches(header: str, etag: str) -> bool:
    """Return whether an etag is in a header with etags, or the header is ``*``."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or etag in tags
