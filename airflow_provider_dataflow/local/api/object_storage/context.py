"""State that all operations of Object Storage use, and the look-up of buckets and objects in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dataflow.local.api.object_storage.errors import bucket_not_found
from airflow_provider_dataflow.local.http.messages import ApiError, Request, invalid
from airflow_provider_dataflow.local.state.objects.object_files import ObjectFiles
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage

MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ObjectContext:
    """:param now: time of the service's clock, in seconds since the epoch"""

    storage: ObjectStorage
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
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_PAGE:
        raise ApiError(400, "InvalidLimit", f"limit must be an integer from 1 to {MAX_PAGE}.")
    return int(text)


def require_body_object(value: object, name: str) -> str:
    """Return a string of a request's body.

    :raises ApiError: 400, it is missing or not a string
    """
    if not isinstance(value, str) or not value:
        raise invalid(f"{name} must be a string that is not empty.")
    return value
