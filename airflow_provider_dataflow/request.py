"""What is asked for: one definition of every argument of a run.

``RunRequest`` has one field for each field of the API's ``CreateRunDetails``, and one for the header that
goes with it. Each field carries how it is read (templates render ``"2"``, the service wants ``2``) and its
name on the wire, so that nothing else needs to spell the fields out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.run import api_name, camel_case

Coercion = Callable[[Any, str], Any]

RUN_TYPES = ("BATCH", "STREAMING", "SESSION")
PLACEHOLDER = re.compile(r"\$\{(\w+)\}", re.ASCII)
PARAMETER_NAME = re.compile(r"\w+", re.ASCII)
OBJECT_URI = re.compile(r"oci://[^/@\s]+@[^/@\s]+(/.*)?")


# --- How a value is read -------------------------------------------------------------------------------


def _shown(value: Any) -> str:
    """The value for an error message: short, since somebody's secret could be in a long one."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def text(value: Any, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise InvalidArgument(path, f"expected a string, got {type(value).__name__}")


def whole_number(value: Any, path: str) -> int:
    result = number(value, path)
    if result != int(result):
        raise InvalidArgument(path, f"expected a whole number, got {_shown(value)}")
    return int(result)


def number(value: Any, path: str) -> float:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            result = float(value)
        except ValueError:
            result = math.nan
        if math.isfinite(result):
            return result
    raise InvalidArgument(path, f"expected a number, got {_shown(value)}")


def texts(value: Any, path: str) -> list[str]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidArgument(path, f"expected a list, got {_shown(value)}")
    return [text(item, f"{path}[{index}]") for index, item in enumerate(value)]


def _mapping(value: Any, path: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise InvalidArgument(path, f"expected a dict, got {_shown(value)}")
    return value


def text_map(value: Any, path: str) -> dict[str, str]:
    return {text(key, path): text(item, f"{path}[{key!r}]") for key, item in _mapping(value, path).items()}


def structure(**members: Coercion) -> Coercion:
    """A small object; its members are accepted by their own or their wire name, and sent by the latter."""
    wire = {name: "memoryInGBs" if name == "memory_in_gbs" else camel_case(name) for name in members}
    own = {wire_name: name for name, wire_name in wire.items()}

    def read(value: Any, path: str) -> dict[str, Any]:
        result = {}
        for key, item in _mapping(value, path).items():
            name = own.get(key, key)
            if name not in members:
                raise InvalidArgument(f"{path}.{key}", f"unknown; expected {', '.join(members)}")
            if item is not None:
                result[wire[name]] = members[name](item, f"{path}.{name}")
        return result

    return read


def parameters(value: Any, path: str) -> list[dict[str, str]]:
    """``{"name": "value"}`` or ``[{"name": ..., "value": ...}]``."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        pairs = []
        for index, item in enumerate(value):
            if not isinstance(item, Mapping) or set(item) != {"name", "value"}:
                raise InvalidArgument(f"{path}[{index}]", "expected a dict with name and value")
            pairs.append((item["name"], item["value"]))
    else:
        raise InvalidArgument(path, f"expected a dict or a list of name and value, got {_shown(value)}")
    result: dict[str, str] = {}
    for raw_name, item in pairs:
        name = text(raw_name, path)
        if not PARAMETER_NAME.fullmatch(name):
            raise InvalidArgument(path, f"the name {name!r} may have letters, digits and underscores only")
        if name in result:
            raise InvalidArgument(path, f"{name!r} is given twice")
        result[name] = text(item, f"{path}[{name!r}]")
    return [{"name": name, "value": item} for name, item in result.items()]


def defined_tags(value: Any, path: str) -> dict[str, dict[str, Any]]:
    """``{"Namespace": {"Key": v}}`` as the API has it, or ``{"Namespace.Key": v}`` as Terraform writes it."""
    result: dict[str, dict[str, Any]] = {}
    for key, item in _mapping(value, path).items():
        name = text(key, path)
        if isinstance(item, Mapping):
            result.setdefault(name, {}).update(item)
        elif "." in name:
            namespace, _, tag = name.partition(".")
            result.setdefault(namespace, {})[tag] = item
        else:
            raise InvalidArgument(f"{path}[{name!r}]", "expected a dict, or a name like 'Namespace.Key'")
    return result


def choice(*allowed: str) -> Coercion:
    def read(value: Any, path: str) -> str:
        result = text(value, path).upper()
        if result not in allowed:
            raise InvalidArgument(path, f"expected one of {', '.join(allowed)}, got {_shown(value)}")
        return result

    return read


def ocid(*resource_types: str) -> Coercion:
    pattern = re.compile(rf"ocid1\.({'|'.join(resource_types)})\.[\w.-]+", re.ASCII)

    def read(value: Any, path: str) -> str:
        result = text(value, path)
        if not pattern.fullmatch(result):
            kinds = " or ".join(f"ocid1.{kind}..." for kind in resource_types)
            raise InvalidArgument(path, f"expected an OCID like {kinds}, got {_shown(value)}")
        return result

    return read


def object_uri(value: Any, path: str) -> str:
    result = text(value, path)
    if not OBJECT_URI.fullmatch(result):
        raise InvalidArgument(path, f"expected oci://bucket@namespace/path, got {_shown(value)}")
    return result


shape_config = structure(ocpus=number, memory_in_gbs=number)
log_config = structure(log_group_id=text, log_id=text)


# --- The request ---------------------------------------------------------------------------------------


def _argument(read: Coercion, **metadata: Any) -> Any:
    return field(default=None, metadata={"read": read, **metadata})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Everything that a run can be asked for (``CreateRunDetails``), checked and in the service's types."""

    application_id: str | None = _argument(ocid("dataflowapplication"))
    application_log_config: Mapping[str, str] | None = _argument(log_config)
    archive_uri: str | None = _argument(text)
    arguments: list[str] | None = _argument(texts)
    compartment_id: str | None = _argument(ocid("compartment", "tenancy"))
    configuration: Mapping[str, str] | None = _argument(text_map)
    defined_tags: Mapping[str, Mapping[str, Any]] | None = _argument(defined_tags)
    display_name: str | None = _argument(text)
    driver_shape: str | None = _argument(text)
    driver_shape_config: Mapping[str, float] | None = _argument(shape_config)
    execute: str | None = _argument(text)
    executor_shape: str | None = _argument(text)
    executor_shape_config: Mapping[str, float] | None = _argument(shape_config)
    freeform_tags: Mapping[str, str] | None = _argument(text_map)
    idle_timeout_in_minutes: int | None = _argument(whole_number)
    logs_bucket_uri: str | None = _argument(object_uri)
    max_duration_in_minutes: int | None = _argument(whole_number)
    metastore_id: str | None = _argument(ocid("datacatalogmetastore"))
    num_executors: int | None = _argument(whole_number)
    opc_parent_rpt_url: str | None = _argument(text, header=True)
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
    def build(cls, arguments: Mapping[str, Any], json: Mapping[str, Any] | None = None) -> Self:
        """Read arguments (by their names here) and a raw body (by the API's names); the former win.

        :raises InvalidArgument: a value has the wrong type or form.
        """
        rest = dict(_mapping(json, "json")) if json is not None else {}
        values: dict[str, Any] = {}
        for f in fields(cls):
            if "read" not in f.metadata:
                continue
            path, value = f.name, arguments.get(f.name)
            wire_name = api_name(f)
            from_json = None if f.metadata.get("header") else rest.pop(wire_name, None)
            if value is None and from_json is not None:
                path, value = f"json.{wire_name}", from_json
            if value is not None:
                values[f.name] = f.metadata["read"](value, path)
        return cls(**values, further=rest)

    def check(self) -> None:
        """Refuse what the service would refuse, where that can be known from the request alone.

        :raises InvalidArgument: arguments contradict each other, or one is missing.
        """
        if not self.compartment_id:
            raise InvalidArgument(
                "compartment_id", "missing: give it to the operator or as compartment_id in the connection"
            )
        if bool(self.application_id) == bool(self.execute):
            given = "both were" if self.execute else "neither was"
            raise InvalidArgument(
                "application_id", f"expected exactly one of application_id and execute, but {given} given"
            )
        if self.spark_version and not self.execute:
            raise InvalidArgument("spark_version", "allowed only together with execute")
        if self.idle_timeout_in_minutes is not None and self.type != "SESSION":
            raise InvalidArgument("idle_timeout_in_minutes", "allowed only for runs of type SESSION")
        if self.application_id is None:
            # An application may bring values for its own placeholders; a run by execute has only these.
            known = {item["name"] for item in self.parameters or ()}
            for index, argument in enumerate(self.arguments or ()):
                for name in PLACEHOLDER.findall(argument):
                    if name not in known:
                        raise InvalidArgument(f"arguments[{index}]", f"no parameter {name!r} for ${{{name}}}")

    @property
    def subject(self) -> str:
        """What is to be run, for messages. Of ``execute`` only what it runs: its arguments may be secrets."""
        if self.application_id:
            return f"application_id {self.application_id}"
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
