"""Requests to create and to update a run, with the checks of arguments that depend on each other.

The operators repeat the names of the arguments for editors and readers. A test compares them, and the fields
here, with the installed SDK and with Terraform.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.coercion import (
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
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.oci_tags import defined_tags, freeform_tags
from airflow_provider_dataflow.models.request_body import RequestBody, argument
from airflow_provider_dataflow.models.shared_fields import (
    compartment_ocid,
    display_name,
    duration_minutes,
    ignored_field_warnings,
    log_config,
    run_type,
    session_idle_minutes,
    shape_config,
)

#: Mark in ``execute`` that each submit replaces by its retry token, which no other run has.
SUBMISSION = "AIRFLOW_SUBMISSION"

#: Characters that percent-encoding can keep, since they need no quoting in ``execute``.
SAFE_IN_EXECUTE = "/:,=@+"

PLACEHOLDER = re.compile(r"\$\{(\w+)\}", re.ASCII)


def _check_application_or_execute(request: RunRequest) -> None:
    if not request.application_id and not request.execute:
        raise InvalidArgument("application_id", "expected application_id or execute, but neither was given")


def _check_spark_version(request: RunRequest) -> None:
    if request.spark_version and not request.execute:
        raise InvalidArgument("spark_version", "allowed only together with execute")


def _check_idle_timeout(request: RunRequest) -> None:
    # Without a type, a run has the type of its application, which is not known here.
    may_be_session = request.type == "SESSION" or (request.type is None and request.effective_application_id)
    if request.idle_timeout_in_minutes is not None and not may_be_session:
        raise InvalidArgument("idle_timeout_in_minutes", "allowed only for runs of type SESSION")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunRequest(RequestBody):
    """Request for a new run (``CreateRunDetails``), in the types of the API."""

    combination_checks: ClassVar[Mapping[tuple[str, ...], Callable[[Any], None]]] = {
        ("application_id", "execute"): _check_application_or_execute,
        ("spark_version", "execute"): _check_spark_version,
        ("idle_timeout_in_minutes", "type", "application_id", "execute"): _check_idle_timeout,
    }

    application_id: str | None = argument(ocid("dataflowapplication"))
    application_log_config: Mapping[str, str] | None = argument(log_config)
    archive_uri: str | None = argument(object_uris)
    arguments: list[str] | None = argument(texts)
    compartment_id: str | None = argument(compartment_ocid)
    configuration: Mapping[str, str] | None = argument(text_map)
    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    display_name: str | None = argument(display_name)
    driver_shape: str | None = argument(text)
    driver_shape_config: Mapping[str, float] | None = argument(shape_config)
    execute: str | None = argument(execute_text)
    executor_shape: str | None = argument(text)
    executor_shape_config: Mapping[str, float] | None = argument(shape_config)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    idle_timeout_in_minutes: int | None = argument(session_idle_minutes)
    logs_bucket_uri: str | None = argument(object_uri)
    max_duration_in_minutes: int | None = argument(duration_minutes)
    metastore_id: str | None = argument(ocid("datacatalogmetastore"))
    num_executors: int | None = argument(whole_number(1))
    opc_parent_rpt_url: str | None = argument(text, header="opc-parent-rpt-url")
    parameters: list[dict[str, str]] | None = argument(parameters)
    pool_id: str | None = argument(ocid("dataflowpool"))
    spark_version: str | None = argument(text)
    type: str | None = argument(run_type)
    warehouse_bucket_uri: str | None = argument(object_uri)

    def check(self) -> None:
        if not self.compartment_id:
            raise InvalidArgument(
                "compartment_id", "missing: give it to the operator or as compartment_id in the connection"
            )
        super(RunRequest, self).check()

    def check_placeholders(self, application_parameters: Iterable[Mapping[str, str]] = ()) -> None:
        """Refuse a ``${name}`` in ``arguments`` that has no parameter, as the service would.

        :param application_parameters: parameters of the application, which the run's parameters override.
        :raises InvalidArgument: a parameter is missing.
        """
        if self.execute:
            return  # the service ignores arguments beside execute
        known = {item.get("name") for item in (*application_parameters, *(self.parameters or ()))}
        for index, word in enumerate(self.arguments or ()):
            for name in PLACEHOLDER.findall(word):
                if name not in known:
                    raise InvalidArgument(f"arguments[{index}]", f"no parameter {name!r} for ${{{name}}}")

    def warnings(self) -> list[str]:
        """Return log messages about arguments that the service accepts but that have no effect."""
        result = ignored_field_warnings(self.body())
        if placeholders := dict.fromkeys(PLACEHOLDER.findall(self.execute or "")):
            names = ", ".join(f"${{{name}}}" for name in placeholders)
            result.append(f"execute: {names} will not be replaced: parameters are ignored beside execute")
        api_names = {f.name: api_name(f) for f in self.argument_fields()}
        result += [
            f"json.{name}: the API does not know this name; use {api_names[name]}"
            for name in self.unknown_fields
            if name in api_names
        ]
        return result

    def for_submission(self, token: str) -> RunRequest:
        """Return the request of one submit, with its retry token in place of marks in ``execute``."""
        if self.execute is None or SUBMISSION not in self.execute:
            return self
        return replace(self, execute=self.execute.replace(SUBMISSION, token))

    @property
    def effective_application_id(self) -> str | None:
        """Application of the run; None beside ``execute``, for which the service creates a new one."""
        return None if self.execute else self.application_id

    @property
    def subject(self) -> str:
        """Application or main file, for messages. Arguments in ``execute`` may be secret and are left out."""
        if self.effective_application_id:
            return f"application_id {self.effective_application_id}"
        main = next((word for word in (self.execute or "").split() if word.startswith("oci://")), "...")
        return f"execute {main}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunUpdate(RequestBody):
    """Request to change a submitted run (``UpdateRunDetails``)."""

    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    idle_timeout_in_minutes: int | None = argument(session_idle_minutes)
    max_duration_in_minutes: int | None = argument(duration_minutes)

    def differences(self, existing: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON of the update.

        :raises InvalidArgument: ``idle_timeout_in_minutes`` is given for a run that is not a session.
        """
        if self.idle_timeout_in_minutes is not None and existing.get("type") not in (None, "SESSION"):
            raise InvalidArgument("idle_timeout_in_minutes", "allowed only for runs of type SESSION")
        return super(RunUpdate, self).differences(existing)
