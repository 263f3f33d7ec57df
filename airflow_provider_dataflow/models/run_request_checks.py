"""What the fields of a request have to do with each other, and what of it can be known early."""

from __future__ import annotations

import numbers
import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.fields import unwrapped

if TYPE_CHECKING:
    from airflow_provider_dataflow.models.run_request import RunRequest

PLACEHOLDER = re.compile(r"\$\{(\w+)\}", re.ASCII)

#: What has no effect beside ``execute``, by the API's names: the service derives it from ``execute`` alone.
OVERRIDDEN_BY_EXECUTE = (
    "applicationId",
    "arguments",
    "className",
    "configuration",
    "fileUri",
    "language",
    "parameters",
)

_TEMPLATE_MARKS = ("{{", "{%", "{#")

_PLAIN_TYPES = (bool, numbers.Number, bytes, bytearray, date, time, timedelta, UUID)


def is_plain(value: Any) -> bool:
    """Return whether a value is what it will be when the task runs: nothing in it is left to be rendered."""
    value = unwrapped(value)
    if isinstance(value, str):
        return not any(mark in value for mark in _TEMPLATE_MARKS)
    if isinstance(value, Mapping):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple, Set)):
        return all(is_plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return is_plain(str(value))
    # Everything else may be something only later: an XComArg, a callable, a sequence that is fetched.
    return value is None or isinstance(value, _PLAIN_TYPES)


def check_compartment(request: RunRequest) -> None:
    if not request.compartment_id:
        raise InvalidArgument(
            "compartment_id", "missing: give it to the operator or as compartment_id in the connection"
        )


def check_subject(request: RunRequest) -> None:
    if not request.application_id and not request.execute:
        raise InvalidArgument(
            "application_id", "expected exactly one of application_id and execute, but neither was given"
        )


def check_spark_version(request: RunRequest) -> None:
    if request.spark_version and not request.execute:
        raise InvalidArgument("spark_version", "allowed only together with execute")


def check_idle_timeout(request: RunRequest) -> None:
    # Without a type, a run is of its application's type, which nobody has asked for here.
    may_be_session = request.type == "SESSION" or (request.type is None and request.effective_application_id)
    if request.idle_timeout_in_minutes is not None and not may_be_session:
        raise InvalidArgument("idle_timeout_in_minutes", "allowed only for runs of type SESSION")


def check_placeholders(request: RunRequest, application_parameters: Iterable[Mapping[str, str]] = ()) -> None:
    if request.execute:
        return  # the service does not read arguments beside it
    known = {item.get("name") for item in (*application_parameters, *(request.parameters or ()))}
    for index, argument in enumerate(request.arguments or ()):
        for name in PLACEHOLDER.findall(argument):
            if name not in known:
                raise InvalidArgument(f"arguments[{index}]", f"no parameter {name!r} for ${{{name}}}")


#: The checks of more than one field, by the fields that they look at.
OF_FIELDS_TOGETHER: dict[tuple[str, ...], Callable[[RunRequest], None]] = {
    ("application_id", "execute"): check_subject,
    ("spark_version", "execute"): check_spark_version,
    ("idle_timeout_in_minutes", "type", "application_id", "execute"): check_idle_timeout,
}


def warnings(request: RunRequest) -> list[str]:
    result = []
    body = request.body()
    without_effect = [name for name in OVERRIDDEN_BY_EXECUTE if body.get(name)]
    if request.execute and without_effect:
        result.append(f"No effect beside execute, which alone counts: {', '.join(without_effect)}")
    if unfilled := dict.fromkeys(PLACEHOLDER.findall(request.execute or "")):
        names = ", ".join(f"${{{name}}}" for name in unfilled)
        result.append(f"execute: nothing fills in {names}, as parameters do not count beside it")
    by_our_name = {f.name: api_name(f) for f in request.__dataclass_fields__.values() if "read" in f.metadata}
    result += [
        f"json.{name}: the API does not know this name; its own is {by_our_name[name]}"
        for name in request.further
        if name in by_our_name
    ]
    return result
