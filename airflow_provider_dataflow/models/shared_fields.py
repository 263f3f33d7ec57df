"""Coercions and limits of fields that several request bodies share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_dataflow.models.coercion import (
    choice,
    ocid,
    positive_number,
    structure,
    text_of_length,
    whole_number,
)
from airflow_provider_dataflow.models.durations import timedelta_to_minutes

RUN_TYPES = ("BATCH", "STREAMING", "SESSION")

#: A session lives for seven days at most.
MAX_IDLE_MINUTES = 7 * 24 * 60
MAX_DISPLAY_NAME_CHARACTERS = 255

#: Fields that the service ignores beside ``execute``, by API name: it derives them from ``execute`` alone.
IGNORED_WITH_EXECUTE = (
    "applicationId",
    "arguments",
    "className",
    "configuration",
    "fileUri",
    "language",
    "parameters",
)

compartment_ocid = ocid("compartment", "tenancy")
display_name = text_of_length(1, MAX_DISPLAY_NAME_CHARACTERS)
log_config = structure("log_group_id", "log_id", log_group_id=ocid("loggroup"), log_id=ocid("log"))
run_type = choice(*RUN_TYPES)
shape_config = structure(ocpus=positive_number, memory_in_gbs=positive_number)


def duration_minutes(value: Any, path: str) -> int:
    """Coerce a duration to whole minutes, from a number of minutes or a timedelta."""
    return whole_number(1)(timedelta_to_minutes(value), path)


def session_idle_minutes(value: Any, path: str) -> int:
    """Coerce the idle time after which a session ends to whole minutes, seven days at most."""
    return whole_number(1, MAX_IDLE_MINUTES)(timedelta_to_minutes(value), path)


def ignored_field_warnings(
    body: Mapping[str, Any], ignored: Iterable[str] = IGNORED_WITH_EXECUTE
) -> list[str]:
    """Return a warning with the fields of a body that the service ignores beside ``execute``, if any."""
    names = [name for name in ignored if body.get(name)]
    if not body.get("execute") or not names:
        return []
    return [f"Ignored by the service because execute is given: {', '.join(names)}"]
