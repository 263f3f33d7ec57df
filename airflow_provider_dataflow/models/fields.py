"""How a value is read: from what a DAG or a template gives to what the API takes.

Each reader takes a value and the path by which an error names it, and returns the value in the service's
type, within the service's limits.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.field_names import camel_case
from airflow_provider_dataflow.redaction import Redactor

Coercion = Callable[[Any, str], Any]

PARAMETER_NAME = re.compile(r"\w+", re.ASCII)
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


# --- Plain values --------------------------------------------------------------------------------------


def text(value: Any, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise InvalidArgument(path, f"expected a string, got {type(value).__name__}")


def text_of(at_least: int, at_most: int) -> Coercion:
    def read(value: Any, path: str) -> str:
        result = text(value, path)
        if not at_least <= len(result) <= at_most:
            raise InvalidArgument(path, f"expected {at_least} to {at_most} characters, got {len(result)}")
        return result

    return read


def number(value: Any, path: str) -> float:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            result = math.nan
        if math.isfinite(result):
            return result
    raise InvalidArgument(path, f"expected a number, got {shown(value)}")


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
        result = text(value, path).upper()
        if result not in allowed:
            raise InvalidArgument(path, f"expected one of {', '.join(allowed)}, got {shown(value)}")
        return result

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


def _parsed(value: Any) -> Any:
    """What the text of a list or dict says: a template renders to text, as JSON or as Python writes it."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        for parse in (json.loads, ast.literal_eval):
            try:
                return parse(value.strip())
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return value


def mapping(value: Any, path: str) -> Mapping[Any, Any]:
    result = _parsed(value)
    if not isinstance(result, Mapping):
        raise InvalidArgument(path, f"expected a dict{_or_its_text(value)}, got {shown(value)}")
    return result


def _items(value: Any, path: str, expected: str = "a list") -> list[Any]:
    result = _parsed(value)
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
    return {text(key, path): text(item, f"{path}[{key!r}]") for key, item in mapping(value, path).items()}


def structure(*required: str, **members: Coercion) -> Coercion:
    """A small object; its members are accepted by their own or their wire name, and sent by the latter."""
    wire = {name: "memoryInGBs" if name == "memory_in_gbs" else camel_case(name) for name in members}
    own = {wire_name: name for name, wire_name in wire.items()}

    def read(value: Any, path: str) -> dict[str, Any]:
        result = {}
        for key, item in mapping(value, path).items():
            name = own.get(key, key)
            if name not in members:
                raise InvalidArgument(f"{path}.{key}", f"unknown; expected {', '.join(members)}")
            if item is not None:
                result[wire[name]] = members[name](item, f"{path}.{name}")
        for name in required:
            if wire[name] not in result:
                raise InvalidArgument(f"{path}.{name}", "missing")
        return result

    return read


def parameters(value: Any, path: str) -> list[dict[str, str]]:
    """``{"name": "value"}`` or ``[{"name": ..., "value": ...}]``."""
    value = _parsed(value)
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        pairs = []
        for index, item in enumerate(_items(value, path, "a dict or a list of name and value")):
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
        if isinstance(item, Mapping):
            result.setdefault(name, {}).update(item)
        elif "." in name:
            namespace, _, tag = name.partition(".")
            result.setdefault(namespace, {})[tag] = item
        else:
            raise InvalidArgument(f"{path}[{name!r}]", "expected a dict, or a name like 'Namespace.Key'")
    _check_count(sum(map(len, result.values())), MAX_DEFINED_TAGS, path)
    for namespace, tags in result.items():
        for key, item in tags.items():
            tag_path = f"{path}[{namespace!r}][{key!r}]"
            if not isinstance(item, (str, int, float)):
                raise InvalidArgument(tag_path, f"expected a plain value, got {type(item).__name__}")
            _check_tag(namespace, "", path, tag_path)
            _check_tag(text(key, path), str(item), path, tag_path)
    return result


def _check_count(count: int, most: int, path: str) -> None:
    if count > most:
        raise InvalidArgument(path, f"expected at most {most} tags, got {count}")


def _check_tag(key: str, value: str, path: str, tag_path: str) -> None:
    if not 1 <= len(key) <= MAX_TAG_KEY:
        raise InvalidArgument(path, f"expected keys of 1 to {MAX_TAG_KEY} characters, got {shown(key)}")
    if len(value) > MAX_TAG_VALUE:
        raise InvalidArgument(tag_path, f"expected at most {MAX_TAG_VALUE} characters, got {len(value)}")
