"""State that all operations of Object Storage use, and the look-up of buckets and objects in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_dataflow.local.api.field_checks import integer_of
from airflow_provider_dataflow.local.api.object_storage.errors import bucket_not_found
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, Request, Response, invalid, missing
from airflow_provider_dataflow.local.state.objects.object_copies import ObjectCopies
from airflow_provider_dataflow.local.state.objects.object_files import ObjectFiles
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage

MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ObjectContext:
    """:param now: time of the service's clock, in seconds since the epoch"""

    storage: ObjectStorage
    copies: ObjectCopies
    now: Callable[[], float]

    def files(self, namespace: str, bucket: str) -> ObjectFiles:
        """Return the objects of a bucket.

        :raises ApiError: 404, it does not exist
        """
        files = self.storage.files(namespace, bucket)
        if files is None:
            raise bucket_not_found(namespace, bucket)
        return files


def page_limit(request: Request, default: int = MAX_PAGE) -> int:
    """Return the requested size of a page.

    :raises ApiError: 400, it is not an integer from 1 to 1000
    """
    text = request.query().get("limit")
    if text is None:
        return default
    limit = integer_of(text, 1, MAX_PAGE)
    if limit is None:
        raise ApiError(400, "InvalidLimit", f"limit must be an integer from 1 to {MAX_PAGE}.")
    return limit


def list_response(request: Request, bodies: Sequence[JSON]) -> Response:
    """Return a page of a list; the token of a page is its first position.

    :raises ApiError: 400, the limit or the token is not valid
    """
    start = integer_of(request.query().get("page", "0"), 0, sys.maxsize)
    if start is None:
        raise ApiError(400, "InvalidPage", "page is not the value of an opc-next-page header.")
    end = start + page_limit(request)
    headers = {"opc-next-page": str(end)} if end < len(bodies) else {}
    return Response.of_json(list(bodies[start:end]), headers=headers)


def required_text(body: JSON, name: str) -> str:
    """Return a string of a request's body.

    :raises ApiError: 400, it is missing, empty or not a string
    """
    value = optional_text(body, name)
    if not value:
        raise missing(f"{name} is required.")
    return value


def optional_text(body: JSON, name: str) -> str | None:
    """Return a string of a request's body; ``None``: it is not there.

    :raises ApiError: 400, it is not a string
    """
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"{name} must be a string.")
    return value
