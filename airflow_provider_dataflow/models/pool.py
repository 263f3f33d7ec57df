"""Pools of reserved compute: states, attributes, and the request to create or update one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.coercion import choice, list_of, structure, text, whole_number
from airflow_provider_dataflow.models.field_names import api_field
from airflow_provider_dataflow.models.oci_tags import defined_tags, freeform_tags
from airflow_provider_dataflow.models.request_body import RequestBody, argument
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.models.shared_fields import (
    compartment_ocid,
    display_name,
    duration_minutes,
    shape_config,
)


class PoolState(StrEnum):
    """States of a pool (``lifecycleState`` of the API)."""

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


#: States that lead to ACTIVE without a further request, or to SCHEDULED for a new pool with schedules.
STARTING_STATES: frozenset[str] = frozenset({PoolState.ACCEPTED, PoolState.CREATING})
#: States of a pool without nodes. A request, a schedule or a run starts it.
IDLE_STATES: frozenset[str] = frozenset({PoolState.STOPPED, PoolState.SCHEDULED})
#: States of a pool that is deleted or about to be.
GONE_STATES: frozenset[str] = frozenset({PoolState.DELETING, PoolState.DELETED})
#: States that a pool leaves only if somebody deletes it.
DEAD_STATES: frozenset[str] = frozenset({PoolState.FAILED, PoolState.DELETED})

DAYS = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")

hour = whole_number(0, 23)
configurations = list_of(
    structure("shape", shape=text, shape_config=shape_config, min=whole_number(0), max=whole_number(1))
)
schedules = list_of(structure("day_of_week", day_of_week=choice(*DAYS), start_time=hour, stop_time=hour))


@dataclass(frozen=True, slots=True)
class Pool(Resource):
    """Pool as the service returns it (``Pool`` or ``PoolSummary``)."""

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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PoolDetails(RequestBody):
    """Request for a pool (``CreatePoolDetails``, ``UpdatePoolDetails``)."""

    compartment_id: str | None = argument(compartment_ocid, required=True, immutable=True)
    configurations: list[dict[str, Any]] | None = argument(
        configurations, required=True, service_adds_members=True
    )
    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    description: str | None = argument(text)
    display_name: str | None = argument(display_name, required=True)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    idle_timeout_in_minutes: int | None = argument(duration_minutes)
    schedules: list[dict[str, Any]] | None = argument(schedules, service_adds_members=True)

    def check(self) -> None:
        super(PoolDetails, self).check()
        if not self.configurations:
            raise InvalidArgument("configurations", "expected at least one")
        for index, item in enumerate(self.configurations):
            if item.get("min", 0) > item.get("max", item.get("min", 0)):
                raise InvalidArgument(f"configurations[{index}].min", "expected no more than max")
