"""Coercion of OCI's freeform and defined tags, within the limits that hold for every resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import (
    parse_collection,
    redacted_repr,
    text_or_none,
    unwrap,
)
from airflow_provider_dataflow.models.coercion import json_value, mapping, text, text_map, with_text_keys

MAX_FREEFORM_TAGS = 10
MAX_DEFINED_TAGS = 64
MAX_TAG_KEY_CHARACTERS = 100
MAX_TAG_VALUE_CHARACTERS = 256


def freeform_tags(value: Any, path: str) -> dict[str, str]:
    """Coerce ``{"key": "value"}``."""
    result = text_map(value, path)
    _check_count(len(result), MAX_FREEFORM_TAGS, path)
    for key, item in result.items():
        _check_tag(key, item, path, f"{path}[{key!r}]")
    return result


def defined_tags(value: Any, path: str) -> dict[str, dict[str, Any]]:
    """Coerce the API's ``{"Namespace": {"Key": value}}`` or Terraform's ``{"Namespace.Key": value}``."""
    result: dict[str, dict[str, Any]] = {}
    for key, item in mapping(value, path).items():
        name = text(key, path)
        tags = parse_collection(item)
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
            if text_or_none(unwrap(item)) is None:
                raise InvalidArgument(tag_path, f"expected a plain value, got {type(item).__name__}")
            tags[key] = json_value(item, tag_path)
            _check_tag(namespace, "", path, tag_path)
            _check_tag(key, text(item, tag_path), path, tag_path)
    return result


def merged_defined_tags(
    own: Mapping[str, Mapping[str, Any]], below: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return a resource's own tags, and those tags below them whose key it does not have.

    OCI ignores the case of namespaces and keys, so two that differ in it would be one tag, given twice.
    """
    result = {name: dict(tags) for name, tags in own.items()}
    names = {name.lower(): name for name in result}
    for namespace, tags in below.items():
        merged = result.setdefault(names.get(namespace.lower(), namespace), {})
        keys = {key.lower() for key in merged}
        merged.update({key: value for key, value in tags.items() if key.lower() not in keys})
    return result


def _check_count(count: int, most: int, path: str) -> None:
    if count > most:
        raise InvalidArgument(path, f"expected at most {most} tags, got {count}")


def _check_tag(key: str, value: str, path: str, tag_path: str) -> None:
    if not 1 <= len(key) <= MAX_TAG_KEY_CHARACTERS:
        raise InvalidArgument(
            path, f"expected keys of 1 to {MAX_TAG_KEY_CHARACTERS} characters, got {redacted_repr(key)}"
        )
    if len(value) > MAX_TAG_VALUE_CHARACTERS:
        raise InvalidArgument(
            tag_path, f"expected at most {MAX_TAG_VALUE_CHARACTERS} characters, got {len(value)}"
        )
