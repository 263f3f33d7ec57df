"""Runs: lifecycle states and their meaning, attributes, and log files.

No other module knows the meaning of the eight states.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, Self

from airflow_provider_dataflow.models.decoding import decode_fields
from airflow_provider_dataflow.models.field_names import api_field
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.redaction import SENSITIVE_NAMES, redacted_body

log = logging.getLogger(__name__)


class LifecycleState(StrEnum):
    """States of a run (``lifecycleState`` of the API)."""

    ACCEPTED = "ACCEPTED"
    IN_PROGRESS = "IN_PROGRESS"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"


TERMINAL_STATES: frozenset[str] = frozenset(
    {
        LifecycleState.CANCELED,
        LifecycleState.FAILED,
        LifecycleState.SUCCEEDED,
        # STREAMING and SESSION runs end here, and every run that the service stops.
        LifecycleState.STOPPED,
    }
)
SUCCESS_STATES: frozenset[str] = frozenset({LifecycleState.SUCCEEDED})
#: States that always lead to an end other than success.
ENDING_STATES: frozenset[str] = frozenset({LifecycleState.CANCELING, LifecycleState.STOPPING})
KNOWN_STATES: frozenset[str] = frozenset(LifecycleState)


@lru_cache(maxsize=100)
def _warn_of_unknown_state(state: str) -> None:
    """Log a warning. The cache limits it to one per process and state."""
    log.warning(
        "Data Flow reports the run state %r, which this version of the provider does not know. It counts as "
        "not ended, so tasks keep waiting. Upgrade the provider if a run stays in this state.",
        state,
    )


def is_terminal(state: str) -> bool:
    """Return whether a run in this state has ended. An unknown state counts as not ended."""
    if state not in KNOWN_STATES:
        _warn_of_unknown_state(state)
    return state in TERMINAL_STATES


def has_reached(state: str, targets: Collection[str]) -> bool:
    """Return whether a run in this state is, or must have been, in one of the target states.

    A run that has succeeded was accepted and in progress before, even if no poll saw it.
    """
    if state in targets:
        return True
    passed: tuple[str, ...] = ()
    if state == LifecycleState.SUCCEEDED:
        passed = (LifecycleState.ACCEPTED, LifecycleState.IN_PROGRESS)
    elif state == LifecycleState.IN_PROGRESS:
        passed = (LifecycleState.ACCEPTED,)
    return any(target in passed for target in targets)


#: Attributes that may contain a secret, because their values come from users.
MAY_HOLD_SECRETS = ("arguments", "configuration", "defined_tags", "execute", "freeform_tags", "parameters")


@dataclass(frozen=True, slots=True)
class Run(Resource):
    """Run as the service returns it (``Run`` or ``RunSummary``).

    Attributes have the names of Terraform's data source. Those that the response lacks are None. Times are
    timezone-aware. ``raw`` is the JSON of the whole response, with fields that this version does not know.
    """

    kind: ClassVar[str] = "run"

    id: str
    state: str = field(metadata=api_field("lifecycleState"))
    compartment_id: str | None = None
    application_id: str | None = None
    application_log_config: Mapping[str, Any] | None = None
    archive_uri: str | None = None
    arguments: list[str] | None = field(default=None, repr=False)
    class_name: str | None = None
    configuration: Mapping[str, str] | None = field(default=None, repr=False)
    data_read_in_bytes: int | None = None
    data_written_in_bytes: int | None = None
    defined_tags: Mapping[str, Mapping[str, Any]] | None = None
    display_name: str | None = None
    driver_shape: str | None = None
    driver_shape_config: Mapping[str, Any] | None = None
    execute: str | None = field(default=None, repr=False)
    executor_shape: str | None = None
    executor_shape_config: Mapping[str, Any] | None = None
    file_uri: str | None = None
    freeform_tags: Mapping[str, str] | None = None
    idle_timeout_in_minutes: int | None = None
    language: str | None = None
    lifecycle_details: str | None = None
    logs_bucket_uri: str | None = None
    max_duration_in_minutes: int | None = None
    metastore_id: str | None = None
    num_executors: int | None = None
    opc_request_id: str | None = None
    owner_principal_id: str | None = None
    owner_user_name: str | None = None
    parameters: list[Mapping[str, str]] | None = field(default=None, repr=False)
    pool_id: str | None = None
    private_endpoint_dns_zones: list[str] | None = None
    private_endpoint_id: str | None = None
    private_endpoint_max_host_count: int | None = None
    private_endpoint_nsg_ids: list[str] | None = None
    private_endpoint_subnet_id: str | None = None
    run_duration_in_milliseconds: int | None = None
    spark_version: str | None = None
    time_created: datetime | None = None
    time_updated: datetime | None = None
    total_ocpu: int | None = field(default=None, metadata=api_field("totalOCpu"))
    type: str | None = None
    warehouse_bucket_uri: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_terminal(self) -> bool:
        return is_terminal(self.state)

    @property
    def is_ending(self) -> bool:
        """Whether the run has ended, or is CANCELING or STOPPING."""
        return self.is_terminal or self.state in ENDING_STATES

    @property
    def succeeded(self) -> bool:
        return self.state in SUCCESS_STATES

    def attributes(
        self, *, hide_secrets: bool = False, sensitive_names: Iterable[str] = SENSITIVE_NAMES
    ) -> dict[str, Any]:
        """Return all attributes by name, except ``raw``.

        :param hide_secrets: hide secrets in ``MAY_HOLD_SECRETS``, for logs and XComs. ``lifecycle_details``
            may quote them, and are returned unchanged.
        :param sensitive_names: parts of names whose values are secrets.
        """
        result = Resource.attributes(self)
        if hide_secrets:
            shown = {name: result[name] for name in MAY_HOLD_SECRETS if result[name]}
            result |= redacted_body(shown, sensitive_names)
        return result


@dataclass(frozen=True, slots=True)
class RunLog:
    """Log file of a run (``RunLogSummary``).

    :param name: argument of GetRunLog, for example ``spark_application_stdout.log.gz``.
    :param source: APPLICATION, DRIVER or EXECUTOR.
    :param type: STDOUT or STDERR.
    :param size_in_bytes: compressed size.
    :param time_created: time at which the service stored the log.
    """

    name: str
    source: str
    type: str
    size_in_bytes: int | None = None
    time_created: datetime | None = None

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> Self:
        """Decode the service's JSON.

        :raises ValueError: the JSON is not a log, or a value has another type than the API documents.
        """
        if not isinstance(body, Mapping) or not body.get("name"):
            raise ValueError("the response is no log: it has no name")
        values = decode_fields(cls, body)
        return cls(**{**values, "source": values["source"] or "", "type": values["type"] or ""})
