"""Coercion of arguments to the types of the API.

Templates render ``"2"`` where the API wants ``2``. Each coercion takes a value and the path that an error
names. It returns the value in the type of the API and within its limits, or raises ``InvalidArgument``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from decimal import Decimal
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import (
    is_given,
    number_or_none,
    parse_collection,
    redacted_repr,
    text_or_none,
    unwrap,
)
from airflow_provider_dataflow.models.field_names import camel_case

Coercion = Callable[[Any, str], Any]

#: Largest 32-bit integer. The service's own limits are far below it, and ``islice`` takes no number above
#: ``sys.maxsize``.
MAX_WHOLE_NUMBER = 2**31 - 1
#: Characters that need no quoting in a Spark command line, a list of URIs and a URL.
STAGING_PREFIX = re.compile(r"[A-Za-z0-9_.+=/-]*", re.ASCII)
OBJECT_URI = re.compile(r"oci://[^/@\s]+@[^/@\s]+(/.*)?")
PARAMETER_NAME = re.compile(r"\w+", re.ASCII)
#: Default representation of an object, which a template renders for a class without a text form.
_OBJECT_REPR = re.compile(r"<[^<>]* at 0x[0-9A-Fa-f]+>")


def optional(coerce: Coercion) -> Coercion:
    """Return a coercion that also accepts None, and the text to which a template renders None."""

    def coerce_if_given(value: Any, path: str) -> Any:
        return coerce(value, path) if is_given(value) else None

    return coerce_if_given


# --- Scalars -------------------------------------------------------------------------------------------


def text(value: Any, path: str) -> str:
    """Coerce a scalar with one unambiguous text form.

    A timedelta is refused, because it could mean seconds or ``0:30:00``. So is the default representation of
    an object, as in ``<Foo object at 0x7f...>``.
    """
    found = verbatim_text(value, path)
    if _OBJECT_REPR.search(found):
        raise InvalidArgument(
            path, f"expected a string, got the representation of an object: {redacted_repr(found)}"
        )
    return found


def verbatim_text(value: Any, path: str) -> str:
    """Coerce to text, also if it looks like the representation of an object."""
    found = text_or_none(unwrap(value))
    if found is None:
        raise InvalidArgument(path, f"expected a string, got {type(value).__name__}{_advice_on(value)}")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(path, "expected a string, got characters that UTF-8 cannot encode") from None
    return found


def _advice_on(value: Any) -> str:
    if isinstance(value, float):
        return f" {value}"
    return ": pass its total_seconds() or str()" if hasattr(value, "total_seconds") else ""


def text_of_length(at_least: int, at_most: int) -> Coercion:
    """Return a coercion to text of limited length, in characters."""

    def coerce(value: Any, path: str) -> str:
        result = text(value, path)
        if not at_least <= len(result) <= at_most:
            raise InvalidArgument(path, f"expected {at_least} to {at_most} characters, got {len(result)}")
        return result

    return coerce


def number(value: Any, path: str) -> float:
    """Coerce to a finite number."""
    result = number_or_none(value)
    if result is None:
        raise InvalidArgument(path, f"expected a number, got {redacted_repr(value)}")
    return result


def positive_number(value: Any, path: str) -> float:
    """Coerce to a number above 0."""
    result = number(value, path)
    if result <= 0:
        raise InvalidArgument(path, f"expected a number above 0, got {redacted_repr(value)}")
    return result


def whole_number(at_least: int, at_most: int = MAX_WHOLE_NUMBER) -> Coercion:
    """Return a coercion to a whole number within limits."""

    def coerce(value: Any, path: str) -> int:
        result = number(value, path)
        if result != int(result):
            raise InvalidArgument(path, f"expected a whole number, got {redacted_repr(value)}")
        if not at_least <= result <= at_most:
            is_small = result < at_least and at_most == MAX_WHOLE_NUMBER
            limits = f"{at_least} or more" if is_small else f"{at_least} to {at_most}"
            raise InvalidArgument(path, f"expected {limits}, got {redacted_repr(value)}")
        return int(result)

    return coerce


def boolean(value: Any, path: str) -> bool:
    """Coerce a bool, or the text to which a template renders one."""
    raw = unwrap(value)
    if isinstance(raw, str):
        raw = {"true": True, "false": False}.get(raw.strip().lower())
    if not isinstance(raw, bool):
        raise InvalidArgument(path, f"expected True or False, got {redacted_repr(value)}")
    return raw


def choice(*allowed: str) -> Coercion:
    """Return a coercion to one of the allowed names, in any case."""

    def coerce(value: Any, path: str) -> str:
        raw = unwrap(value)
        found = by_name.get(raw.strip().upper()) if isinstance(raw, str) else None
        if found is None:
            raise InvalidArgument(path, f"expected one of {', '.join(allowed)}, got {redacted_repr(value)}")
        return found

    by_name = {str(name).upper(): str(name) for name in allowed}
    return coerce


def separated_items(value: Any, path: str, problem: str) -> Iterable[Any]:
    """Return the items of an iterable, or of text that separates them with commas or spaces.

    :param problem: message of the error for any other value.
    """
    result = parse_collection(value)
    if isinstance(result, str):
        return result.replace(",", " ").split()
    if isinstance(result, (bytes, Mapping)) or not isinstance(result, Iterable):
        raise InvalidArgument(path, problem)
    return result


def choices(*allowed: str) -> Coercion:
    """Return a coercion to a non-empty list of allowed names.

    It accepts an iterable, or text with commas or spaces between the names.
    """
    coerce_one = choice(*allowed)

    def coerce(value: Any, path: str) -> list[str]:
        problem = f"expected some of {', '.join(sorted(map(str, allowed)))}, got {redacted_repr(value)}"
        items = separated_items(value, path, problem)
        try:
            found = [coerce_one(item, path) for item in items]
        except InvalidArgument:
            found = []
        if not found:
            raise InvalidArgument(path, problem)
        return list(dict.fromkeys(found))

    return coerce


def ocid(*resource_types: str) -> Coercion:
    """Return a coercion to the OCID of a resource of one of these types."""
    pattern = re.compile(rf"ocid1\.({'|'.join(resource_types)})\.[\w.-]+", re.ASCII)

    def coerce(value: Any, path: str) -> str:
        result = text(value, path)
        if not pattern.fullmatch(result):
            kinds = " or ".join(f"ocid1.{kind}..." for kind in resource_types)
            raise InvalidArgument(path, f"expected an OCID like {kinds}, got {redacted_repr(value)}")
        return result

    return coerce


def object_uri(value: Any, path: str) -> str:
    """Coerce to the URI of an object, a folder or a bucket."""
    result = text(value, path)
    if not OBJECT_URI.fullmatch(result):
        raise InvalidArgument(path, f"expected oci://bucket@namespace/path, got {redacted_repr(value)}")
    return result


def staging_uri(value: Any, path: str) -> str:
    """Coerce to the URI of a bucket or a prefix for uploads, whose URIs must need no quoting."""
    result = object_uri(value, path)
    check_staging_uri(result, path)
    return result


def check_staging_uri(uri: str, argument: str) -> None:
    """Refuse a prefix that a command line or a list of URIs would not keep.

    :raises InvalidArgument: the prefix has other characters.
    """
    prefix = uri.removeprefix("oci://").partition("/")[2]
    if not STAGING_PREFIX.fullmatch(prefix):
        raise InvalidArgument(
            argument, f"the prefix {prefix!r} is not allowed; expected letters, digits and _.+=-/ only"
        )


def object_uris(value: Any, path: str) -> str:
    """Coerce to one or more URIs, separated by commas."""
    return ",".join(object_uri(part.strip(), path) for part in text(value, path).split(","))


# --- Lists and dicts -----------------------------------------------------------------------------------


def mapping(value: Any, path: str) -> Mapping[Any, Any]:
    """Coerce to a mapping, also from its text."""
    result = parse_collection(value)
    if not isinstance(result, Mapping):
        raise InvalidArgument(path, f"expected a dict{_or_json(value)}, got {redacted_repr(value)}")
    return result


def with_text_keys(value: Mapping[Any, Any], path: str) -> dict[str, Any]:
    """Return a dict whose keys are coerced to text. Two keys of the same text are refused."""
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = text(key, path)
        if name in result:
            raise InvalidArgument(path, f"{name!r} is given twice")
        result[name] = item
    return result


def text_map(value: Any, path: str) -> dict[str, str]:
    """Coerce to a dict of texts."""
    items = with_text_keys(mapping(value, path), path)
    return {key: text(item, f"{path}[{key!r}]") for key, item in items.items()}


def _items(value: Any, path: str, expected: str = "a list") -> list[Any]:
    result = parse_collection(value)
    # Sets are refused because they have no order.
    if isinstance(result, (str, bytes, Mapping, Set)) or not isinstance(result, Iterable):
        raise InvalidArgument(path, f"expected {expected}{_or_json(value)}, got {redacted_repr(value)}")
    try:
        return list(result)
    except TypeError:
        # An XComArg has an __iter__ that raises: its value is known only when the task runs.
        raise InvalidArgument(path, f"expected {expected}, got {type(result).__name__}") from None


def _or_json(value: Any) -> str:
    return " or its JSON" if isinstance(value, str) else ""


def list_of(coerce_item: Coercion) -> Coercion:
    """Return a coercion to a list of coerced items."""

    def coerce(value: Any, path: str) -> list[Any]:
        return [coerce_item(item, f"{path}[{index}]") for index, item in enumerate(_items(value, path))]

    return coerce


texts = list_of(text)


def structure(*required: str, **members: Coercion) -> Coercion:
    """Return a coercion to an object of the API, such as a shape config.

    :param required: names of the members that must be present.
    :param members: coercions by name in snake_case. The camelCase name of the API is accepted as well.
    """
    api_names = {name: "memoryInGBs" if name == "memory_in_gbs" else camel_case(name) for name in members}
    names = {api_name: name for name, api_name in api_names.items()}

    def coerce(value: Any, path: str) -> dict[str, Any]:
        result = {}
        for key, item in with_text_keys(mapping(value, path), path).items():
            name = names.get(key, key)
            if name not in members:
                raise InvalidArgument(f"{path}.{key}", f"unknown; expected {', '.join(members)}")
            if is_given(item):
                result[api_names[name]] = members[name](item, f"{path}.{name}")
        for name in required:
            if api_names[name] not in result:
                raise InvalidArgument(f"{path}.{name}", "missing")
        return result

    return coerce


def parameters(value: Any, path: str) -> list[dict[str, str]]:
    """Coerce parameters from ``{"name": "value"}`` or ``[{"name": ..., "value": ...}]``."""
    value = parse_collection(value)
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        pairs = []
        for index, item in enumerate(_items(value, path, "a dict or a list of name and value")):
            item = parse_collection(item)
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


# --- Raw JSON ------------------------------------------------------------------------------------------


def raw_fields(value: Any, path: str) -> dict[str, Any]:
    """Return the fields of a raw request body, by their API names. Fields that are None are left out."""
    if not is_given(value) or (isinstance(value, str) and not value.strip()):
        return {}
    return {key: item for key, item in with_text_keys(mapping(value, path), path).items() if item is not None}


def json_value(value: Any, path: str) -> Any:
    """Return a value of any type as plain JSON.

    :raises InvalidArgument: the value contains something that JSON cannot represent.
    """
    value = unwrap(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float, Decimal)):
        result = number(value, path)
        return int(value) if result == int(value) and not isinstance(value, float) else result
    if isinstance(value, Mapping):
        return {key: json_value(item, f"{path}.{key}") for key, item in with_text_keys(value, path).items()}
    if (found := text_or_none(value)) is not None:
        return text(found, path)
    return [
        json_value(item, f"{path}[{index}]") for index, item in enumerate(_items(value, path, "a JSON value"))
    ]
