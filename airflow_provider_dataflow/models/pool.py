"""Pools: compute that is kept ready. Their states and attributes, and what one can be asked to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.field_names import api_field
from airflow_provider_dataflow.models.fields import (
    choice,
    defined_tags,
    freeform_tags,
    list_of,
    ocid,
    structure,
    text,
    text_of,
    whole_number,
)
from airflow_provider_dataflow.models.request_body import Details, argument
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.models.run_request import MAX_DISPLAY_NAME, minutes_of_run, shape_config


class PoolState(StrEnum):
    """The states of a pool (``lifecycleState`` of the API)."""

    ACCEPTED = "ACCEPTED"
    SCHEDULED = "SCHEDULED"
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"


#: On its way to ACTIVE, without anybody's doing.
STARTING_STATES: frozenset[str] = frozenset({PoolState.ACCEPTED, PoolState.SCHEDULED, PoolState.CREATING})
GONE_STATES: frozenset[str] = frozenset({PoolState.DELETING, PoolState.DELETED})
#: A pool in one of these does not reach another one unless somebody deletes it.
DEAD_STATES: frozenset[str] = frozenset({PoolState.FAILED, PoolState.DELETED})

DAYS = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")

hour = whole_number(0, 23)
configurations = list_of(
    structure("shape", shape=text, shape_config=shape_config, min=whole_number(0), max=whole_number(1))
)
schedules = list_of(structure("day_of_week", day_of_week=choice(*DAYS), start_time=hour, stop_time=hour))


@dataclass(frozen=True, slots=True)
class Pool(Resource):
    """A pool as the service describes it (``Pool`` or ``PoolSummary``)."""

    kind: ClassVar[str] = "pool"

    id: str
    state: str = field(metadata=api_field("lifecycleState"))
    compartment_id: str | None = None
    configurations: list[Mapping[str, Any]] | None = None
    defined_tags: Mapping[str, Mapping[str, Any]] | None = None
    description: str | None = None
    display_name: str | None = None
    freeform_tags: Mapping[str, str] | None = None
    idle_timeout_in_minutes: int | None = None
    lifecycle_details: str | None = None
    owner_principal_id: str | None = None
    owner_user_name: str | None = None
    pool_metrics: Mapping[str, Any] | None = None
    schedules: list[Mapping[str, Any]] | None = None
    time_created: datetime | None = None
    time_updated: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDetails(Details):
    """What a pool can be asked to be (``CreatePoolDetails``, ``UpdatePoolDetails``)."""

    compartment_id: str | None = argument(ocid("compartment", "tenancy"), required=True, fixed=True)
    configurations: list[dict[str, Any]] | None = argument(configurations, required=True, filled_in=True)
    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    description: str | None = argument(text)
    display_name: str | None = argument(text_of(1, MAX_DISPLAY_NAME), required=True)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    idle_timeout_in_minutes: int | None = argument(minutes_of_run)
    schedules: list[dict[str, Any]] | None = argument(schedules, filled_in=True)

    def check(self) -> None:
        super(PoolDetails, self).check()
        if not self.configurations:
            raise InvalidArgument("configurations", "expected at least one")
        for index, item in enumerate(self.configurations):
            if item.get("min", 0) > item.get("max", item.get("min", 0)):
                raise InvalidArgument(f"configurations[{index}].min", "expected no more than max")
