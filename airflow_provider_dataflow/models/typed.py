"""Reading JSON of the service as the types that our dataclasses declare.

What does not have the declared type is refused here, so that no later comparison, division or encoding fails
on it. Plain Python: no Airflow, no OCI SDK.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import pendulum

from airflow_provider_dataflow.models.field_names import api_name

Reader = Callable[[Any], Any]

#: Beyond that, numbers of JSON are no counts, bytes or durations, and floats cannot hold them.
MAX_NUMBER = 2**63
#: Levels of objects and arrays in a free-form value.
MAX_DEPTH = 20
MAX_TIME_CHARACTERS = 64


@cache
def readers(cls: type) -> tuple[tuple[str, str, Reader], ...]:
    """Return name, name in the API's JSON, and reader of each field of a dataclass but ``raw``."""
    hints = get_type_hints(cls)
    return tuple((f.name, api_name(f), reader(hints[f.name])) for f in fields(cls) if f.name != "raw")


@cache
def reader(hint: Any) -> Reader:
    """Return what reads a value of the declared type, or raises ``ValueError``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return reader(hint)
    if origin is list:
        return _list_of(reader(*arguments))
    if origin is Mapping:
        return _mapping_of(reader(arguments[1]))
    return {str: text, int: whole_number, float: number, datetime: time, Any: anything}[hint]


def values_of(cls: type, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass from JSON; what is missing or null is ``None``.

    :raises ValueError: a value has another type than its field.
    """
    values: dict[str, Any] = {}
    for name, wire_name, read in readers(cls):
        value = body.get(wire_name)
        if value is not None:
            try:
                value = read(value)
            except Exception as error:
                raise ValueError(f"{wire_name}: {error}") from error
        values[name] = value
    return values


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise _expected("a string", value)
    # Programs put anything into their output; lone surrogates and NUL can be neither logged nor stored.
    if not value.isascii():
        value = value.encode(errors="replace").decode()
    return value.replace("\0", "\ufffd")


def whole_number(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= MAX_NUMBER:
        raise _expected("a whole number", value)
    return value


def number(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) < MAX_NUMBER:
        raise _expected("a number", value)
    return float(value)


def time(value: Any) -> datetime:
    """A timezone-aware time in ISO 8601."""
    if not isinstance(value, str) or len(value) > MAX_TIME_CHARACTERS:
        raise _expected("a time", value)
    found = pendulum.parse(value)
    if not isinstance(found, datetime):
        raise _expected("a time", value)
    # Near the ends of the calendar, a time has no place in some time zones.
    found.timestamp()
    return found


def anything(value: Any, depth: int = 0) -> Any:
    """A value of no declared type, if all of it can be logged, stored and sent again."""
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels of objects and arrays")
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {text(key): anything(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [anything(item, depth + 1) for item in value]
    # Written so that NaN is refused, too.
    if isinstance(value, (int, float)) and not abs(value) < MAX_NUMBER:
        raise _expected("a number", value)
    return value


def _list_of(read: Reader) -> Reader:
    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _expected("a list", value)
        return [read(item) for item in value]

    return read_list


def _mapping_of(read: Reader) -> Reader:
    def read_mapping(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise _expected("an object", value)
        return {text(key): read(item) for key, item in value.items()}

    return read_mapping


def _expected(what: str, value: Any) -> ValueError:
    # Texts and structures by their type only: they may be long, or hold a secret.
    is_number = isinstance(value, (int, float))
    shown = repr(value) if is_number and abs(value) < MAX_NUMBER else type(value).__name__
    return ValueError(f"expected {what}, got {shown}")
