"""How a value is read: from what a DAG or a template gives to what the API takes.

Each reader takes a value and the path by which an error names it, and returns the value in the service's
type, within the service's limits.
"""

from __future__ import annotations

import ast
import json
import math
import numbers
import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.field_names import camel_case
from airflow_provider_dataflow.redaction import Redactor

Coercion = Callable[[Any, str], Any]

PARAMETER_NAME = re.compile(r"\w+", re.ASCII)
_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9A-Fa-f]+>")
OBJECT_URI = re.compile(r"oci://[^/@\s]+@[^/@\s]+(/.*)?")

MAX_REPR = 1000

# Of OCI's tags, on every resource.
MAX_FREEFORM_TAGS = 10
MAX_DEFINED_TAGS = 64
MAX_TAG_KEY = 100
MAX_TAG_VALUE = 256


def shown(value: Any) -> str:
    """The value for an error message: short, and without what looks like a secret."""
    text = Redactor().text(repr(value)[:MAX_REPR])
    return text if len(text) <= 40 else f"{text[:37]}..."


#: What a template makes of None, in Python's words and in JSON's.
_TEXTS_OF_NONE = ("None", "null")


def unwrapped(value: Any) -> Any:
    """Return an Enum member's value, what numpy holds as Python's own types, and others as they are."""
    while isinstance(value, Enum):
        value = value.value
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value


def is_given(value: Any) -> bool:
    """Return False for None, also for the text that a template makes of it."""
    value = unwrapped(value)
    return value is not None and not (isinstance(value, str) and value.strip() in _TEXTS_OF_NONE)


def optional(read: Coercion) -> Coercion:
    """Make None, also as a template writes it, a value of its own."""

    def read_if_given(value: Any, path: str) -> Any:
        return read(value, path) if is_given(value) else None

    return read_if_given


# --- Plain values --------------------------------------------------------------------------------------


def text(value: Any, path: str) -> str:
    """Read text, and what has one form as text that everybody expects.

    A timedelta has none: is it sent as seconds or as ``0:30:00``? Nor has an object of another class, whose
    address a template makes text of.
    """
    found = verbatim_text(value, path)
    if _ADDRESS.search(found):
        raise InvalidArgument(path, f"expected a string, got the text of an object: {shown(found)}")
    return found


def verbatim_text(value: Any, path: str) -> str:
    """Read text, whatever is in it."""
    found = _text_or_none(unwrapped(value))
    if found is None:
        raise InvalidArgument(
            path, f"expected a string, got {type(value).__name__}{_what_to_do_about(value)}"
        )
    try:
        found.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(path, "expected a string, got characters that UTF-8 cannot hold") from None
    return found


def _text_or_none(value: Any) -> str | None:
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


def _what_to_do_about(value: Any) -> str:
    if isinstance(value, float):
        return f" {value}"
    return ": give its total_seconds() or str()" if hasattr(value, "total_seconds") else ""


def text_of(at_least: int, at_most: int) -> Coercion:
    def read(value: Any, path: str) -> str:
        result = text(value, path)
        if not at_least <= len(result) <= at_most:
            raise InvalidArgument(path, f"expected {at_least} to {at_most} characters, got {len(result)}")
        return result

    return read


def number_or_none(value: Any) -> float | None:
    """Return a finite number, also given as text; None for everything else."""
    value = unwrapped(value)
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real, Decimal)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def number(value: Any, path: str) -> float:
    result = number_or_none(value)
    if result is None:
        raise InvalidArgument(path, f"expected a number, got {shown(value)}")
    return result


def boolean(value: Any, path: str) -> bool:
    """Read a bool, or the text that a template makes of one."""
    raw = unwrapped(value)
    if isinstance(raw, str):
        raw = {"true": True, "false": False}.get(raw.strip().lower())
    if not isinstance(raw, bool):
        raise InvalidArgument(path, f"expected True or False, got {shown(value)}")
    return raw


def positive_number(value: Any, path: str) -> float:
    result = number(value, path)
    if result <= 0:
        raise InvalidArgument(path, f"expected a number above 0, got {shown(value)}")
    return result


def whole_number(at_least: int, at_most: int | None = None) -> Coercion:
    def read(value: Any, path: str) -> int:
        result = number(value, path)
        if result != int(result):
            raise InvalidArgument(path, f"expected a whole number, got {shown(value)}")
        if result < at_least or (at_most is not None and result > at_most):
            limits = f"{at_least} or more" if at_most is None else f"{at_least} to {at_most}"
            raise InvalidArgument(path, f"expected {limits}, got {shown(value)}")
        return int(result)

    return read


def choice(*allowed: str) -> Coercion:
    def read(value: Any, path: str) -> str:
        raw = unwrapped(value)
        found = by_name.get(raw.strip().upper()) if isinstance(raw, str) else None
        if found is None:
            raise InvalidArgument(path, f"expected one of {', '.join(allowed)}, got {shown(value)}")
        return found

    by_name = {str(name).upper(): str(name) for name in allowed}
    return read


def some_of(*allowed: str) -> Coercion:
    """Read several of the names: a list of them in any form, or text with commas or spaces between."""
    read_one = choice(*allowed)

    def read(value: Any, path: str) -> list[str]:
        raw = parsed(value)
        if isinstance(raw, str):
            raw = raw.replace(",", " ").split()
        problem = f"expected some of {', '.join(sorted(map(str, allowed)))}, got {shown(value)}"
        if isinstance(raw, (bytes, Mapping)) or not isinstance(raw, Iterable):
            raise InvalidArgument(path, problem)
        try:
            found = [read_one(item, path) for item in raw]
        except InvalidArgument:
            found = []
        if not found:
            raise InvalidArgument(path, problem)
        return list(dict.fromkeys(found))

    return read


def ocid(*resource_types: str) -> Coercion:
    pattern = re.compile(rf"ocid1\.({'|'.join(resource_types)})\.[\w.-]+", re.ASCII)

    def read(value: Any, path: str) -> str:
        result = text(value, path)
        if not pattern.fullmatch(result):
            kinds = " or ".join(f"ocid1.{kind}..." for kind in resource_types)
            raise InvalidArgument(path, f"expected an OCID like {kinds}, got {shown(value)}")
        return result

    return read


def object_uri(value: Any, path: str) -> str:
    result = text(value, path)
    if not OBJECT_URI.fullmatch(result):
        raise InvalidArgument(path, f"expected oci://bucket@namespace/path, got {shown(value)}")
    return result


def object_uris(value: Any, path: str) -> str:
    """One or more URIs, with commas between."""
    return ",".join(object_uri(part.strip(), path) for part in text(value, path).split(","))


# --- Lists and dicts -----------------------------------------------------------------------------------


def parsed(value: Any) -> Any:
    """What the text of a list or dict says: a template renders to text, as JSON or as Python writes it."""
    value = unwrapped(value)
    if isinstance(value, (bytes, bytearray)):
        value = _text_or_none(value) or value
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", "("):
        for parse in (json.loads, ast.literal_eval):
            try:
                return parse(value.strip())
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return value


def mapping(value: Any, path: str) -> Mapping[Any, Any]:
    result = parsed(value)
    if not isinstance(result, Mapping):
        raise InvalidArgument(path, f"expected a dict{_or_its_text(value)}, got {shown(value)}")
    return result


def _items(value: Any, path: str, expected: str = "a list") -> list[Any]:
    result = parsed(value)
    # A set has no order, and arguments have one.
    if isinstance(result, (str, bytes, Mapping, Set)) or not isinstance(result, Iterable):
        raise InvalidArgument(path, f"expected {expected}{_or_its_text(value)}, got {shown(value)}")
    return list(result)


def _or_its_text(value: Any) -> str:
    return " or its JSON" if isinstance(value, str) else ""


def texts(value: Any, path: str) -> list[str]:
    return [text(item, f"{path}[{index}]") for index, item in enumerate(_items(value, path))]


def list_of(read_item: Coercion) -> Coercion:
    def read(value: Any, path: str) -> list[Any]:
        return [read_item(item, f"{path}[{index}]") for index, item in enumerate(_items(value, path))]

    return read


def text_map(value: Any, path: str) -> dict[str, str]:
    items = with_text_keys(mapping(value, path), path)
    return {key: text(item, f"{path}[{key!r}]") for key, item in items.items()}


def with_text_keys(value: Mapping[Any, Any], path: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = text(key, path)
        if name in result:
            raise InvalidArgument(path, f"{name!r} is given twice")
        result[name] = item
    return result


def body(value: Any, path: str) -> dict[str, Any]:
    """Read a raw body, by the API's names; None in it, and instead of it, is what is not given."""
    if not is_given(value) or (isinstance(value, str) and not value.strip()):
        return {}
    return {key: item for key, item in with_text_keys(mapping(value, path), path).items() if item is not None}


def plain_json(value: Any, path: str) -> Any:
    """Return a value of any type as JSON has it.

    :raises InvalidArgument: it holds something that JSON has no form for.
    """
    value = unwrapped(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float, Decimal)):
        result = number(value, path)
        return int(value) if result == int(value) and not isinstance(value, float) else result
    if isinstance(value, Mapping):
        return {key: plain_json(item, f"{path}.{key}") for key, item in with_text_keys(value, path).items()}
    if (found := _text_or_none(value)) is not None:
        return text(found, path)
    return [
        plain_json(item, f"{path}[{index}]")
        for index, item in enumerate(_items(value, path, "a value that JSON has"))
    ]


def structure(*required: str, **members: Coercion) -> Coercion:
    """A small object; its members are accepted by their own or their wire name, and sent by the latter."""
    wire = {name: "memoryInGBs" if name == "memory_in_gbs" else camel_case(name) for name in members}
    own = {wire_name: name for name, wire_name in wire.items()}

    def read(value: Any, path: str) -> dict[str, Any]:
        result = {}
        for key, item in with_text_keys(mapping(value, path), path).items():
            name = own.get(key, key)
            if name not in members:
                raise InvalidArgument(f"{path}.{key}", f"unknown; expected {', '.join(members)}")
            if is_given(item):
                result[wire[name]] = members[name](item, f"{path}.{name}")
        for name in required:
            if wire[name] not in result:
                raise InvalidArgument(f"{path}.{name}", "missing")
        return result

    return read


def parameters(value: Any, path: str) -> list[dict[str, str]]:
    """``{"name": "value"}`` or ``[{"name": ..., "value": ...}]``."""
    value = parsed(value)
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        pairs = []
        for index, item in enumerate(_items(value, path, "a dict or a list of name and value")):
            item = parsed(item)
            if not isinstance(item, Mapping) or set(item) != {"name", "value"}:
                raise InvalidArgument(f"{path}[{index}]", "expected a dict with name and value")
            pairs.append((item["name"], item["value"]))
    result: dict[str, str] = {}
    for raw_name, item in pairs:
        name = text(raw_name, path)
        if not PARAMETER_NAME.fullmatch(name):
            raise InvalidArgument(path, f"the name {name!r} may have letters, digits and underscores only")
        if name in result:
            raise InvalidArgument(path, f"{name!r} is given twice")
        result[name] = text(item, f"{path}[{name!r}]")
    return [{"name": name, "value": item} for name, item in result.items()]


# --- Tags ----------------------------------------------------------------------------------------------


def freeform_tags(value: Any, path: str) -> dict[str, str]:
    result = text_map(value, path)
    _check_count(len(result), MAX_FREEFORM_TAGS, path)
    for key, item in result.items():
        _check_tag(key, item, path, f"{path}[{key!r}]")
    return result


def defined_tags(value: Any, path: str) -> dict[str, dict[str, Any]]:
    """``{"Namespace": {"Key": v}}`` as the API has it, or ``{"Namespace.Key": v}`` as Terraform writes it."""
    result: dict[str, dict[str, Any]] = {}
    for key, item in mapping(value, path).items():
        name = text(key, path)
        tags = parsed(item)
        if isinstance(tags, Mapping):
            result.setdefault(name, {}).update(with_text_keys(tags, f"{path}[{name!r}]"))
        elif "." in name:
            namespace, _, tag = name.partition(".")
            result.setdefault(namespace, {})[tag] = item
        else:
            raise InvalidArgument(f"{path}[{name!r}]", "expected a dict, or a name like 'Namespace.Key'")
    _check_count(sum(map(len, result.values())), MAX_DEFINED_TAGS, path)
    for namespace, tags in result.items():
        for key, item in tags.items():
            tag_path = f"{path}[{namespace!r}][{key!r}]"
            if unwrapped(item) is None or _text_or_none(unwrapped(item)) is None:
                raise InvalidArgument(tag_path, f"expected a plain value, got {type(item).__name__}")
            tags[key] = plain_json(item, tag_path)
            _check_tag(namespace, "", path, tag_path)
            _check_tag(key, text(item, tag_path), path, tag_path)
    return result


def _check_count(count: int, most: int, path: str) -> None:
    if count > most:
        raise InvalidArgument(path, f"expected at most {most} tags, got {count}")


def _check_tag(key: str, value: str, path: str, tag_path: str) -> None:
    if not 1 <= len(key) <= MAX_TAG_KEY:
        raise InvalidArgument(path, f"expected keys of 1 to {MAX_TAG_KEY} characters, got {shown(key)}")
    if len(value) > MAX_TAG_VALUE:
        raise InvalidArgument(tag_path, f"expected at most {MAX_TAG_VALUE} characters, got {len(value)}")
