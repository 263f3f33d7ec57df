"""Read-modify-write updates that do not overwrite concurrent changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from airflow_provider_dataflow.exceptions import ServiceError

MAX_ATTEMPTS = 5

R = TypeVar("R")


def update_if_different(
    read: Callable[[], tuple[R, str | None]],
    differences: Callable[[R], Mapping[str, Any]],
    update: Callable[[Mapping[str, Any], str | None], Any],
) -> tuple[R, Mapping[str, Any]]:
    """Read a resource and update its differences. Repeat both if somebody else changed it in between.

    :param read: returns the resource and its etag.
    :param differences: returns the fields to update; empty: there is nothing to do.
    :param update: takes the fields and the etag.
    :return: the resource before the update, and the updated fields.
    :raises ServiceError: a request failed; 412 if the resource changed in between ``MAX_ATTEMPTS`` times.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        current, etag = read()
        changes = differences(current)
        if not changes:
            break
        try:
            update(changes, etag)
            break
        except ServiceError as error:
            if error.status != 412 or attempt == MAX_ATTEMPTS:
                raise
    return current, changes
