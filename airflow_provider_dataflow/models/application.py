"""Applications: what they are, and what one can be asked to be. Plain Python: no Airflow, no OCI SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.execute_text import execute_text
from airflow_provider_dataflow.models.field_names import api_field
from airflow_provider_dataflow.models.fields import (
    choice,
    defined_tags,
    freeform_tags,
    object_uri,
    object_uris,
    ocid,
    parameters,
    text,
    text_map,
    text_of,
    texts,
    whole_number,
)
from airflow_provider_dataflow.models.request_body import Details, argument
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.models.run_request import (
    MAX_DISPLAY_NAME,
    RUN_TYPES,
    idle_minutes,
    log_config,
    minutes_of_run,
    shape_config,
)
from airflow_provider_dataflow.models.run_request_checks import OVERRIDDEN_BY_EXECUTE

LANGUAGES = ("SCALA", "JAVA", "PYTHON", "SQL")

#: An application in one of these is there no more.
GONE_STATES: frozenset[str] = frozenset({"DELETING", "DELETED"})


@dataclass(frozen=True, slots=True)
class Application(Resource):
    """An application as the service describes it (``Application`` or ``ApplicationSummary``)."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationDetails(Details):
    """What an application can be asked to be (``CreateApplicationDetails``, ``UpdateApplicationDetails``)."""

    application_log_config: Mapping[str, str] | None = argument(log_config, filled_in=True)
    archive_uri: str | None = argument(object_uris)
    arguments: list[str] | None = argument(texts)
    class_name: str | None = argument(text)
    compartment_id: str | None = argument(ocid("compartment", "tenancy"), required=True, fixed=True)
    configuration: Mapping[str, str] | None = argument(text_map)
    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    description: str | None = argument(text)
    display_name: str | None = argument(text_of(1, MAX_DISPLAY_NAME), required=True)
    driver_shape: str | None = argument(text, required=True)
    driver_shape_config: Mapping[str, float] | None = argument(shape_config, filled_in=True)
    execute: str | None = argument(execute_text)
    executor_shape: str | None = argument(text, required=True)
    executor_shape_config: Mapping[str, float] | None = argument(shape_config, filled_in=True)
    file_uri: str | None = argument(object_uri)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    idle_timeout_in_minutes: int | None = argument(idle_minutes)
    language: str | None = argument(choice(*LANGUAGES), required=True)
    logs_bucket_uri: str | None = argument(object_uri)
    max_duration_in_minutes: int | None = argument(minutes_of_run)
    metastore_id: str | None = argument(ocid("datacatalogmetastore"))
    num_executors: int | None = argument(whole_number(1), required=True)
    parameters: list[dict[str, str]] | None = argument(parameters)
    pool_id: str | None = argument(ocid("dataflowpool"))
    private_endpoint_id: str | None = argument(ocid("dataflowprivateendpoint"))
    spark_version: str | None = argument(text, required=True)
    type: str | None = argument(choice(*RUN_TYPES), fixed=True)
    warehouse_bucket_uri: str | None = argument(object_uri)

    def check(self) -> None:
        super(ApplicationDetails, self).check()
        if not self.file_uri and not self.execute and self.type != "SESSION":
            raise InvalidArgument("file_uri", "missing; only an application of type SESSION needs no program")
        # Beside execute, file_uri has no effect.
        needs_class = self.language in ("SCALA", "JAVA") and self.file_uri and not self.execute
        if needs_class and not self.class_name:
            raise InvalidArgument("class_name", f"missing; needed for the language {self.language}")

    def warnings(self) -> list[str]:
        """Return what the service accepts, but what has no effect. Sentences for the log."""
        body = self.body()
        # The API wants a language from every application.
        without_effect = [name for name in OVERRIDDEN_BY_EXECUTE if name in body and name != "language"]
        if not self.execute or not without_effect:
            return []
        return [f"No effect beside execute, which alone counts: {', '.join(without_effect)}"]

    def differences(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """As of ``Details``; what the service takes from ``execute`` is not compared beside it.

        :raises InvalidArgument: a difference that no update can make up for.
        """
        kind = found.get("type")
        if self.type and kind and self.type != kind:
            raise InvalidArgument("type", f"the application is {kind}, which cannot be changed")
        changes = super(ApplicationDetails, self).differences(found)
        if self.execute:
            return {name: value for name, value in changes.items() if name not in OVERRIDDEN_BY_EXECUTE}
        return changes
