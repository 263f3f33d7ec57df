"""Checks of dataclass fields that come from JSON, a configuration or the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from airflow_provider_dataflow.local.http.error_messages import did_you_mean

MAX_DURATION_SECONDS = 10 * 365 * 24 * 3600.0
_MAX_INTEGER = 2**63 - 1
_MAX_LENGTH = 1024 * 1024
_MAX_SHOWN_LENGTH = 200


@cache
def camel(name: str) -> str:
    """Convert ``bytes_read`` to ``bytesRead``."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class FieldError(ValueError):
    """Field with a wrong value, or without a required one.

    :param field: name of the field in Python.
    :param problem: the part of the message after the name of the field.
    :param before: the part of the message before it.
    """

    def __init__(self, field: str, problem: str, before: str = "") -> None:
        self.field = field
        self._before, self._problem = before, problem
        super().__init__(self.with_name(camel(field)))

    def with_name(self, name: str) -> str:
        """Return the message with another name for the field, for example a command line option."""
        return f"{self._before}{name}{self._problem}"


def shown(value: Any) -> str:
    """Return a value for an error message, on one line and shortened."""
    text = repr(value)
    if len(text) <= _MAX_SHOWN_LENGTH:
        return text
    closing_quote = text[-1] if isinstance(value, str) else ""
    return f"{text[:_MAX_SHOWN_LENGTH]}...{closing_quote}"


def seconds(name: str, value: Any, minimum: float = 0.0, maximum: float = MAX_DURATION_SECONDS) -> float:
    """Return a number of seconds.

    :raises FieldError: not a number, or out of range.
    """
    return number(name, value, minimum, maximum, "a number of seconds")


def number(name: str, value: Any, minimum: float, maximum: float, what: str = "a number") -> float:
    """Return a number.

    :raises FieldError: not a number, or out of range.
    """
    try:
        converted = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        converted = math.nan
    if converted > maximum:
        raise FieldError(name, f" must be at most {maximum:.10g}, not {shown(value)}")
    if not minimum <= converted:
        raise FieldError(name, f" must be {what}, at least {minimum:.10g}, not {shown(value)}")
    return converted


def whole(name: str, value: Any, minimum: int = 0, maximum: int = _MAX_INTEGER) -> int:
    """Return an integer; a string of digits is converted.

    :raises FieldError: not an integer, or out of range.
    """
    converted = value
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        converted = int(value.strip()[:30])
    if type(converted) is not int or not minimum <= converted <= maximum:
        raise FieldError(name, f" must be a whole number from {minimum} to {maximum}, not {shown(value)}")
    return converted


def text(name: str, value: Any, *, may_be_empty: bool = True) -> str:
    """Return a string.

    :raises FieldError: not a string, too long, or empty although it must not be.
    """
    if not isinstance(value, str) or len(value) > _MAX_LENGTH:
        raise FieldError(name, f" must be a string of at most {_MAX_LENGTH} characters, not {shown(value)}")
    if not may_be_empty and not value.strip():
        raise FieldError(name, f" must not be empty, but is {shown(value)}")
    return value


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """Return one of the known words.

    :raises FieldError: not one of them.
    """
    words = list(known)
    if value not in words:
        near = did_you_mean(str(value), words)
        problem = f" must be one of {', '.join(words)}, not {shown(value)}.{near}".rstrip(".")
        raise FieldError(name, problem)
    return str(value)


def from_fields(cls: type[Any], what: str, values: Any) -> dict[str, Any]:
    """Return the keyword arguments of a dataclass from a JSON object with names in camel case or snake case.

    :param what: name of the object in error messages.
    :raises ValueError: not an object, or a field is unknown.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{what} must be an object, not {shown(values)}")
    names = {name: f.name for f in fields(cls) for name in (f.name, camel(f.name))}
    for name in values:
        if name not in names:
            known = [camel(f.name) for f in fields(cls)]
            near = did_you_mean(str(name), known)
            raise ValueError(
                f"{what} has no field {shown(name)}; its fields are {', '.join(known)}.{near}".rstrip(".")
            )
    given = [names[name] for name in values]
    for name in given:
        if given.count(name) > 1:
            raise FieldError(name, " is given twice, in camel case and in snake case")
    return {names[name]: value for name, value in values.items() if value is not None}


def to_json(instance: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from their default, with names in camel case."""
    return {camel(f.name): v for f in fields(instance) if (v := getattr(instance, f.name)) != f.default}
