"""What is asked for: one definition of every argument of a run.

``RunRequest`` has one field for each field of the API's ``CreateRunDetails``, and one for the header that
goes with it. Each field carries how it is read (templates render ``"2"``, the service wants ``2``) and its
name on the wire, so that nothing else needs to spell the fields out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from json import dumps as json_text
from typing import Any, Self

from airflow_provider_dataflow.models import run_request_checks as checks
from airflow_provider_dataflow.models.durations import whole_minutes_in
from airflow_provider_dataflow.models.execute_text import execute_text
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.fields import (
    Coercion,
    body,
    choice,
    defined_tags,
    freeform_tags,
    is_given,
    object_uri,
    object_uris,
    ocid,
    parameters,
    plain_json,
    positive_number,
    structure,
    text,
    text_map,
    text_of,
    texts,
    whole_number,
)
from airflow_provider_dataflow.redaction import HIDDEN, SENSITIVE_NAMES, redacted_body

RUN_TYPES = ("BATCH", "STREAMING", "SESSION")

#: The fields of a run that can be changed later on (``UpdateRunDetails``).
UPDATABLE = ("defined_tags", "freeform_tags", "idle_timeout_in_minutes", "max_duration_in_minutes")

#: A session lives for seven days at most, so it cannot be idle for longer.
MAX_IDLE_MINUTES = 7 * 24 * 60
MAX_DISPLAY_NAME = 255

log_config = structure("log_group_id", "log_id", log_group_id=ocid("loggroup"), log_id=ocid("log"))
shape_config = structure(ocpus=positive_number, memory_in_gbs=positive_number)


def minutes_of_run(value: Any, path: str) -> int:
    """Read the longest duration of a run: whole minutes, or a timedelta of some."""
    return whole_number(1)(whole_minutes_in(value), path)


def idle_minutes(value: Any, path: str) -> int:
    """Read the time without work after which a session ends: whole minutes, or a timedelta of some."""
    return whole_number(1, MAX_IDLE_MINUTES)(whole_minutes_in(value), path)


def _argument(read: Coercion, **metadata: Any) -> Any:
    return field(default=None, metadata={"read": read, **metadata})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunRequest:
    """Everything that a run can be asked for (``CreateRunDetails``), checked and in the service's types."""

    application_id: str | None = _argument(ocid("dataflowapplication"))
    application_log_config: Mapping[str, str] | None = _argument(log_config)
    archive_uri: str | None = _argument(object_uris)
    arguments: list[str] | None = _argument(texts)
    compartment_id: str | None = _argument(ocid("compartment", "tenancy"))
    configuration: Mapping[str, str] | None = _argument(text_map)
    defined_tags: Mapping[str, Mapping[str, Any]] | None = _argument(defined_tags)
    display_name: str | None = _argument(text_of(1, MAX_DISPLAY_NAME))
    driver_shape: str | None = _argument(text)
    driver_shape_config: Mapping[str, float] | None = _argument(shape_config)
    execute: str | None = _argument(execute_text)
    executor_shape: str | None = _argument(text)
    executor_shape_config: Mapping[str, float] | None = _argument(shape_config)
    freeform_tags: Mapping[str, str] | None = _argument(freeform_tags)
    idle_timeout_in_minutes: int | None = _argument(idle_minutes)
    logs_bucket_uri: str | None = _argument(object_uri)
    max_duration_in_minutes: int | None = _argument(minutes_of_run)
    metastore_id: str | None = _argument(ocid("datacatalogmetastore"))
    num_executors: int | None = _argument(whole_number(1))
    opc_parent_rpt_url: str | None = _argument(text, header="opc-parent-rpt-url")
    parameters: list[dict[str, str]] | None = _argument(parameters)
    pool_id: str | None = _argument(ocid("dataflowpool"))
    spark_version: str | None = _argument(text)
    type: str | None = _argument(choice(*RUN_TYPES))
    warehouse_bucket_uri: str | None = _argument(object_uri)
    #: What the API knows and this version does not, by its names on the wire.
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """The arguments, which are also the operator's."""
        return tuple(f.name for f in fields(cls) if "read" in f.metadata)

    @classmethod
    def read(cls, name: str, value: Any) -> Any:
        """One argument's value in the service's type; ``None`` stays.

        :raises InvalidArgument: it has the wrong type or form.
        """
        return cls.__dataclass_fields__[name].metadata["read"](value, name) if is_given(value) else None

    @classmethod
    def given(cls, arguments: Mapping[str, Any], json: Mapping[str, Any] | str | None = None) -> list[str]:
        """Return the names of what is given, for messages: arguments, and ``json`` if anything is in it.

        :raises InvalidArgument: ``json`` is no body.
        """
        given = [name for name in cls.argument_names() if is_given(arguments.get(name))]
        return [*given, "json"] if body(json, "json") else given

    @classmethod
    def build(cls, arguments: Mapping[str, Any], json: Mapping[str, Any] | str | None = None) -> Self:
        """Read arguments (by their names here) and a raw body (by the API's names); the former win.

        None is what is not given, in both, and also as a template writes it.

        :param json: a dict, or the JSON text of one.
        :raises InvalidArgument: a value has the wrong type or form.
        """
        rest = body(json, "json")
        values: dict[str, Any] = {}
        for f in fields(cls):
            if "read" not in f.metadata:
                continue
            path, value = f.name, arguments.get(f.name)
            wire_name = api_name(f)
            from_json = None if f.metadata.get("header") else rest.pop(wire_name, None)
            if not is_given(value) and from_json is not None:
                path, value = f"json.{wire_name}", from_json
            if is_given(value):
                values[f.name] = f.metadata["read"](value, path)
        return cls(**values, further=plain_json(rest, "json"))

    def check(self) -> None:
        """Refuse what the service would refuse, where that can be known from the request alone.

        :raises InvalidArgument: arguments contradict each other, or one is missing.
        """
        checks.check_compartment(self)
        for check in checks.OF_FIELDS_TOGETHER.values():
            check(self)

    def check_placeholders(self, application_parameters: Iterable[Mapping[str, str]] = ()) -> None:
        """Refuse a ``${name}`` in the arguments that no parameter fills in, as the service would.

        :param application_parameters: the application's own (its ``parameters``). A run needs to give only
            those that it wants to be different.
        :raises InvalidArgument: a parameter is missing.
        """
        checks.check_placeholders(self, application_parameters)

    def warnings(self) -> list[str]:
        """What the service accepts, but what is hardly meant. Sentences for the log."""
        return checks.warnings(self)

    @property
    def effective_application_id(self) -> str | None:
        """The application that is run: none beside ``execute``, from which the service makes a new one."""
        return None if self.execute else self.application_id

    @property
    def subject(self) -> str:
        """What is to be run, for messages. Of ``execute`` only what it runs: its arguments may be secrets."""
        if self.effective_application_id:
            return f"application_id {self.effective_application_id}"
        main = next((word for word in (self.execute or "").split() if word.startswith("oci://")), "...")
        return f"execute {main}"

    def body(self) -> dict[str, Any]:
        """The JSON of ``CreateRunDetails``."""
        named = {
            api_name(f): getattr(self, f.name)
            for f in fields(self)
            if "read" in f.metadata and not f.metadata.get("header") and getattr(self, f.name) is not None
        }
        return {**self.further, **named}

    def redacted(self, sensitive_names: Iterable[str] = SENSITIVE_NAMES) -> dict[str, Any]:
        """The request for logs and ``dry_run``: its ``body`` and, if there are any, ``headers``.

        Secrets are hidden, as far as the names of values and their looks tell them. Plain JSON.

        :param sensitive_names: parts of names whose values are hidden.
        """
        headers = {
            f.metadata["header"]: HIDDEN
            for f in fields(self)
            if f.metadata.get("header") and getattr(self, f.name) is not None
        }
        shown: dict[str, Any] = {"body": redacted_body(self.body(), sensitive_names)}
        return {"headers": headers, **shown} if headers else shown

    def redacted_text(self, sensitive_names: Iterable[str] = SENSITIVE_NAMES) -> str:
        """Return :meth:`redacted` as indented JSON, for the log."""
        return json_text(self.redacted(sensitive_names), indent=2, sort_keys=True, ensure_ascii=False)

    def __repr__(self) -> str:
        return f"RunRequest({self.redacted()})"


def check_at_parse(arguments: Mapping[str, Any], json: Any = None) -> None:
    """Refuse, when a DAG is parsed, what is certain to be refused when its task runs.

    Only what is plain Python data without a template is looked at, and what belongs together only if all
    of it is plain. Not for a task that adopts a run: it needs neither ``application_id`` nor ``execute``.

    :param arguments: by their names; others than those of a request are ignored.
    :param json: the raw body, as a dict, as text, or something that is a body only later.
    :raises InvalidArgument: as of :meth:`RunRequest.build` and :meth:`RunRequest.check`.
    """
    plain = {name: arguments[name] for name in RunRequest.argument_names() if name in arguments}
    later = {name for name, value in plain.items() if not checks.is_plain(value)}
    plain = {name: value for name, value in plain.items() if name not in later}
    unset = {name for name in RunRequest.argument_names() if not is_given(plain.get(name))}
    known: dict[Any, Any] = {}
    if isinstance(json, Mapping) or checks.is_plain(json):
        wire_names = {api_name(f): f.name for f in fields(RunRequest)}
        raw = json if isinstance(json, Mapping) else body(json, "json")
        for key, value in raw.items():
            if not checks.is_plain(key):
                later |= unset  # it may be any of them
            elif checks.is_plain(value) and wire_names.get(key) not in later:
                known[key] = value
            elif wire_names.get(key) in unset:
                later.add(wire_names[key])
    else:
        later |= unset
    request = RunRequest.build(plain, known)
    for involved, check in checks.OF_FIELDS_TOGETHER.items():
        if later.isdisjoint(involved):
            check(request)
