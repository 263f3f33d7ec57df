"""Decoding of the API's JSON into the types that our dataclasses declare.

Values of another type are refused here, so that no later comparison, division or encoding fails on them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import pendulum

from airflow_provider_dataflow.models.field_names import api_name

Decoder = Callable[[Any], Any]

#: Larger numbers are no plausible counts, bytes or durations, and floats cannot hold them exactly.
MAX_NUMBER = 2**63
#: Maximum nesting of objects and arrays in a free-form value.
MAX_DEPTH = 20
MAX_TIME_CHARACTERS = 64


def decode_fields(cls: type, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields from JSON. Missing and null fields are None.

    :raises ValueError: a value has another type than its field.
    """
    values: dict[str, Any] = {}
    for name, json_name, decode in field_decoders(cls):
        value = body.get(json_name)
        if value is not None:
            try:
                value = decode(value)
            except Exception as error:
                raise ValueError(f"{json_name}: {error}") from error
        values[name] = value
    return values


@cache
def field_decoders(cls: type) -> tuple[tuple[str, str, Decoder], ...]:
    """Return name, API name and decoder of each field of a dataclass, except ``raw``."""
    hints = get_type_hints(cls)
    return tuple((f.name, api_name(f), decoder(hints[f.name])) for f in fields(cls) if f.name != "raw")


@cache
def decoder(hint: Any) -> Decoder:
    """Return the decoder of a type hint. It raises ``ValueError`` for a value of another type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return decoder(hint)
    if origin is list:
        return _list_decoder(decoder(*arguments))
    if origin is Mapping:
        return _mapping_decoder(decoder(arguments[1]))
    return {
        str: decode_text,
        int: decode_whole_number,
        float: decode_number,
        datetime: decode_time,
        Any: decode_any,
    }[hint]


def decode_text(value: Any) -> str:
    """Return a string without lone surrogates and NUL, which programs may print but no log can store."""
    if not isinstance(value, str):
        raise _expected("a string", value)
    if not value.isascii():
        value = value.encode(errors="replace").decode()
    return value.replace("\0", "\ufffd")


def decode_whole_number(value: Any) -> int:
    """Return an int, also from a float without a fraction."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= MAX_NUMBER:
        raise _expected("a whole number", value)
    return value


def decode_number(value: Any) -> float:
    """Return a finite float."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) < MAX_NUMBER:
        raise _expected("a number", value)
    return float(value)


def decode_time(value: Any) -> datetime:
    """Return an aware datetime from ISO 8601. A date alone is its midnight in UTC.

    :raises ValueError: the value is not a time, or has no date.
    """
    if not isinstance(value, str) or len(value) > MAX_TIME_CHARACTERS:
        raise _expected("a time", value)
    # Not exact, a time without a date would be one of today, which "now" is, too.
    found = pendulum.parse(value, exact=True) if value != "now" else None
    if isinstance(found, date) and not isinstance(found, datetime):
        found = pendulum.datetime(found.year, found.month, found.day)
    if not isinstance(found, datetime):
        raise _expected("a time", value)
    # Times near the ends of the calendar cannot be converted to every time zone.
    found.timestamp()
    return found


def decode_any(value: Any, depth: int = 0) -> Any:
    """Return a free-form value that can be logged, stored and sent.

    :raises ValueError: it is nested too deeply, or has a number that is too large or not finite.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels of objects and arrays")
    if isinstance(value, str):
        return decode_text(value)
    if isinstance(value, Mapping):
        return {decode_text(key): decode_any(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [decode_any(item, depth + 1) for item in value]
    # "not <" also refuses NaN.
    if isinstance(value, (int, float)) and not abs(value) < MAX_NUMBER:
        raise _expected("a number", value)
    return value


def _list_decoder(decode_item: Decoder) -> Decoder:
    def decode_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _expected("a list", value)
        return [decode_item(item) for item in value]

    return decode_list


def _mapping_decoder(decode_item: Decoder) -> Decoder:
    def decode_mapping(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise _expected("an object", value)
        return {decode_text(key): decode_item(item) for key, item in value.items()}

    return decode_mapping


def _expected(expected: str, value: Any) -> ValueError:
    # Strings and objects are not quoted: they may be long or secret.
    is_number = isinstance(value, (int, float))
    found = repr(value) if is_number and abs(value) < MAX_NUMBER else type(value).__name__
    return ValueError(f"expected {expected}, got {found}")
