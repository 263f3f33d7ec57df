"""Inspection of argument values as DAG authors, templates and other tasks supply them."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping, Set
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from airflow_provider_dataflow.redaction import Redactor, structure_in

#: Longer representations are cut before they are searched for secrets.
MAX_REPR_CHARACTERS = 1000
#: Characters of a value in an error message.
MAX_SHOWN_CHARACTERS = 40

#: Text to which a template renders None, as Python and as JSON.
_NONE_TEXTS = ("None", "null")

_TEMPLATE_MARKS = ("{{", "{%", "{#")
_LITERAL_TYPES = (bool, numbers.Number, bytes, bytearray, date, time, timedelta, UUID)


def redacted_repr(value: Any) -> str:
    """Return a short representation for an error message, without secrets that can be recognized."""
    text = Redactor().text(repr(value)[:MAX_REPR_CHARACTERS])
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 3]}..."


def unwrap(value: Any) -> Any:
    """Return the value of an Enum member, the Python equivalent of a numpy value, and others unchanged."""
    while isinstance(value, Enum):
        value = value.value
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value


def is_given(value: Any) -> bool:
    """Return False for None, and for the text to which a template renders None."""
    value = unwrap(value)
    return value is not None and not (isinstance(value, str) and value.strip() in _NONE_TEXTS)


def is_literal(value: Any) -> bool:
    """Return whether a value is final when the DAG is parsed: it contains no template and no XComArg."""
    value = unwrap(value)
    if isinstance(value, str):
        return not any(mark in value for mark in _TEMPLATE_MARKS)
    if isinstance(value, Mapping):
        return all(is_literal(key) and is_literal(item) for key, item in value.items())
    if isinstance(value, (list, tuple, Set)):
        return all(map(is_literal, value))
    if isinstance(value, os.PathLike):
        return is_literal(str(value))
    # Objects of other types may be resolved at run time: an XComArg, a callable, a lazy sequence.
    return value is None or isinstance(value, _LITERAL_TYPES)


def parse_collection(value: Any) -> Any:
    """Return the list, tuple or dict that a text spells as JSON or as Python; other values unwrapped.

    Templates render lists and dicts to such text.
    """
    value = unwrap(value)
    if isinstance(value, (bytes, bytearray)):
        value = text_or_none(value) or value
    if isinstance(value, str) and (found := structure_in(value)) is not None:
        return found
    return value


def number_or_none(value: Any) -> float | None:
    """Return a finite number, also one given as text; None for everything else."""
    value = unwrap(value)
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real, Decimal)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def text_or_none(value: Any) -> str | None:
    """Return the text of a scalar that has one unambiguous text form; None for everything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else None
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else None
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return str(value) if isinstance(value, (str, int, UUID, os.PathLike)) else None
