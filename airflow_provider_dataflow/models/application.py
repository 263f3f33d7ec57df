"""Applications: as the service returns them, and the request to create or update one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.coercion import (
    choice,
    object_uri,
    object_uris,
    ocid,
    parameters,
    text,
    text_map,
    texts,
    whole_number,
)
from airflow_provider_dataflow.models.execute_text import execute_text
from airflow_provider_dataflow.models.field_names import api_field
from airflow_provider_dataflow.models.oci_tags import defined_tags, freeform_tags
from airflow_provider_dataflow.models.request_body import RequestBody, argument
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.models.shared_fields import (
    IGNORED_WITH_EXECUTE,
    compartment_ocid,
    display_name,
    duration_minutes,
    ignored_field_warnings,
    log_config,
    run_type,
    session_idle_minutes,
    shape_config,
)

LANGUAGES = ("SCALA", "JAVA", "PYTHON", "SQL")

#: States of an application that is deleted or about to be.
GONE_STATES: frozenset[str] = frozenset({"DELETING", "DELETED"})


@dataclass(frozen=True, slots=True)
class Application(Resource):
    """Application as the service returns it (``Application`` or ``ApplicationSummary``)."""

    kind: ClassVar[str] = "application"

    id: str
    state: str = field(metadata=api_field("lifecycleState"))
    application_log_config: Mapping[str, Any] | None = None
    archive_uri: str | None = None
    arguments: list[str] | None = None
    class_name: str | None = None
    compartment_id: str | None = None
    configuration: Mapping[str, str] | None = None
    defined_tags: Mapping[str, Mapping[str, Any]] | None = None
    description: str | None = None
    display_name: str | None = None
    driver_shape: str | None = None
    driver_shape_config: Mapping[str, Any] | None = None
    execute: str | None = None
    executor_shape: str | None = None
    executor_shape_config: Mapping[str, Any] | None = None
    file_uri: str | None = None
    freeform_tags: Mapping[str, str] | None = None
    idle_timeout_in_minutes: int | None = None
    language: str | None = None
    logs_bucket_uri: str | None = None
    max_duration_in_minutes: int | None = None
    metastore_id: str | None = None
    num_executors: int | None = None
    owner_principal_id: str | None = None
    owner_user_name: str | None = None
    parameters: list[Mapping[str, str]] | None = None
    pool_id: str | None = None
    private_endpoint_id: str | None = None
    spark_version: str | None = None
    time_created: datetime | None = None
    time_updated: datetime | None = None
    type: str | None = None
    warehouse_bucket_uri: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApplicationDetails(RequestBody):
    """Request for an application (``CreateApplicationDetails``, ``UpdateApplicationDetails``)."""

    application_log_config: Mapping[str, str] | None = argument(log_config, service_adds_members=True)
    archive_uri: str | None = argument(object_uris)
    arguments: list[str] | None = argument(texts)
    class_name: str | None = argument(text)
    compartment_id: str | None = argument(compartment_ocid, required=True, immutable=True)
    configuration: Mapping[str, str] | None = argument(text_map)
    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    description: str | None = argument(text)
    display_name: str | None = argument(display_name, required=True)
    driver_shape: str | None = argument(text, required=True)
    driver_shape_config: Mapping[str, float] | None = argument(shape_config, service_adds_members=True)
    execute: str | None = argument(execute_text)
    executor_shape: str | None = argument(text, required=True)
    executor_shape_config: Mapping[str, float] | None = argument(shape_config, service_adds_members=True)
    file_uri: str | None = argument(object_uri)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    idle_timeout_in_minutes: int | None = argument(session_idle_minutes)
    language: str | None = argument(choice(*LANGUAGES), required=True)
    logs_bucket_uri: str | None = argument(object_uri)
    max_duration_in_minutes: int | None = argument(duration_minutes)
    metastore_id: str | None = argument(ocid("datacatalogmetastore"))
    num_executors: int | None = argument(whole_number(1), required=True)
    parameters: list[dict[str, str]] | None = argument(parameters)
    pool_id: str | None = argument(ocid("dataflowpool"))
    private_endpoint_id: str | None = argument(ocid("dataflowprivateendpoint"))
    spark_version: str | None = argument(text, required=True)
    type: str | None = argument(run_type, immutable=True)
    warehouse_bucket_uri: str | None = argument(object_uri)

    def check(self) -> None:
        super(ApplicationDetails, self).check()
        if not self.file_uri and not self.execute and self.type != "SESSION":
            raise InvalidArgument("file_uri", "missing; only an application of type SESSION needs no program")
        # Beside execute, the service ignores file_uri.
        needs_class = self.language in ("SCALA", "JAVA") and self.file_uri and not self.execute
        if needs_class and not self.class_name:
            raise InvalidArgument("class_name", f"missing; required for the language {self.language}")

    def warnings(self) -> list[str]:
        """Return log messages about arguments that the service accepts but that have no effect."""
        # ``language`` is required, so it cannot be left out beside ``execute``.
        return ignored_field_warnings(
            self.body(), [name for name in IGNORED_WITH_EXECUTE if name != "language"]
        )

    def differences(self, existing: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON of the update, without the fields that the service derives from ``execute``.

        :raises InvalidArgument: the type differs, which no update can change.
        """
        existing_type = existing.get("type")
        if self.type and existing_type and self.type != existing_type:
            raise InvalidArgument("type", f"the application is {existing_type}, which cannot be changed")
        changes = super(ApplicationDetails, self).differences(existing)
        if self.execute:
            return {name: value for name, value in changes.items() if name not in IGNORED_WITH_EXECUTE}
        return changes
