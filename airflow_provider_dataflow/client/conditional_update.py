"""Updates that are made from what is there, and lose nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from airflow_provider_dataflow.exceptions import ServiceError

MAX_ATTEMPTS = 5

R = TypeVar("R")


def bring_about(
    read: Callable[[], tuple[R, str | None]],
    differences: Callable[[R], Mapping[str, Any]],
    update: Callable[[Mapping[str, Any], str | None], Any],
) -> tuple[R, Mapping[str, Any]]:
    """Read a resource and update what is to be otherwise; anew if somebody else has changed it in between.

    :param read: returns the resource and its etag.
    :param differences: the JSON of the update; empty if nothing is to be done.
    :param update: takes that, and the etag.
    :return: the resource as it was, and what was updated.
    :raises ServiceError: of one of the calls; 412 if it changes all the time.
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
