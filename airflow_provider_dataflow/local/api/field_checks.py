"""Checks of single fields of request bodies: types, formats and limits.

They follow the API reference and share no code with our client, so that each reveals mistakes of the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_dataflow.local.http.messages import invalid
from airflow_provider_dataflow.local.state.buckets import parse_uri
from airflow_provider_dataflow.local.state.ocids import is_ocid
from airflow_provider_dataflow.local.state.pool_schedules import DAYS

_PARAMETER_NAME = re.compile(r"[a-zA-Z0-9_]+\Z")
_INTEGER = re.compile(r"0*([0-9]{1,18})")
_MAX_NAME_LENGTH = 255
_MAX_FREEFORM_TAGS = 10
_MAX_DEFINED_TAGS = 64
_MAX_TAG_KEY_LENGTH = 100
_MAX_TAG_VALUE_LENGTH = 256
_MAX_POOL_CONFIGURATIONS = 3
_MAX_NODES = 10_000
_MAX_CODE_LENGTH = 1024 * 1024

# Called with the name and the value of a field; raises ApiError.
Check = Callable[[str, Any], None]


def check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string.")


def check_name(name: str, value: Any) -> None:
    check_text(name, value)
    if not 1 <= len(value) <= _MAX_NAME_LENGTH:
        raise invalid(f"{name} must have 1 to {_MAX_NAME_LENGTH} characters.")


def check_ocid(name: str, value: Any) -> None:
    check_text(name, value)
    if not is_ocid(value):
        raise invalid(f"{name} is not a valid OCID.")


def check_uri(name: str, value: Any) -> None:
    check_text(name, value)
    try:
        parse_uri(value)
    except ValueError as e:
        raise invalid(f"{name}: {e}.") from None


def check_uris(name: str, value: Any) -> None:
    check_text(name, value)
    for part in value.split(","):
        check_uri(name, part.strip())


def integer_of(text: str, minimum: int, maximum: int) -> int | None:
    """Return an integer of a query; ``None``: the text is none from ``minimum`` to ``maximum``."""
    # Not the text itself: int() refuses thousands of digits, even zeros.
    match = _INTEGER.fullmatch(text)
    return int(match[1]) if match is not None and minimum <= int(match[1]) <= maximum else None


def integer_between(minimum: int, maximum: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid(f"{name} must be an integer.")
        if not minimum <= value <= maximum:
            raise invalid(f"{name} must be from {minimum} to {maximum}.")

    return check


def one_of(values: Iterable[str]) -> Check:
    allowed = list(values)

    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise invalid(f"{name} must be one of {', '.join(allowed)}.")

    return check


def check_texts(name: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid(f"{name} must be a list of strings.")


def check_map_of_texts(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise invalid(f"{name} must map strings to strings.")


def check_configuration(name: str, value: Any) -> None:
    check_map_of_texts(name, value)
    for key in value:
        if not key or re.search(r"[\s=]", key):
            raise invalid(f"{name}: {key!r} is not the name of a Spark property.")


def check_tag(name: str, key: str, value: Any) -> None:
    if not 1 <= len(key) <= _MAX_TAG_KEY_LENGTH:
        raise invalid(f"{name}: the key of a tag must have 1 to {_MAX_TAG_KEY_LENGTH} characters.")
    if isinstance(value, str) and len(value) > _MAX_TAG_VALUE_LENGTH:
        raise invalid(f"{name}: the value of {key} has more than {_MAX_TAG_VALUE_LENGTH} characters.")


def check_freeform_tags(name: str, value: Any) -> None:
    check_map_of_texts(name, value)
    if len(value) > _MAX_FREEFORM_TAGS:
        raise invalid(f"{name} may have at most {_MAX_FREEFORM_TAGS} tags.")
    for key, text in value.items():
        check_tag(name, key, text)


def check_defined_tags(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise invalid(f"{name} must map namespaces to maps of tags.")
    if sum(len(tags) for tags in value.values()) > _MAX_DEFINED_TAGS:
        raise invalid(f"{name} may have at most {_MAX_DEFINED_TAGS} tags.")
    for namespace, tags in value.items():
        if not 1 <= len(namespace) <= _MAX_TAG_KEY_LENGTH:
            raise invalid(f"{name}: a namespace must have 1 to {_MAX_TAG_KEY_LENGTH} characters.")
        for key, item in tags.items():
            if isinstance(item, dict | list):
                raise invalid(
                    f"{name}: the value of {namespace}.{key} must be a string, a number or a boolean."
                )
            check_tag(name, key, item)


def check_security_attributes(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise invalid(f"{name} must map namespaces to maps of attributes.")


def check_objects(name: str, value: Any, checks: Mapping[str, Check], maximum: int | None = None) -> None:
    """Check a list of objects. Fields without a check are accepted."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid(f"{name} must be a list of objects.")
    if maximum is not None and len(value) > maximum:
        raise invalid(f"{name} may have at most {maximum} entries.")
    for item in value:
        for key, check in checks.items():
            if item.get(key) is not None:
                check(f"{name}.{key}", item[key])


def check_code(name: str, value: Any) -> None:
    check_text(name, value)
    if not 1 <= len(value) <= _MAX_CODE_LENGTH:
        raise invalid(f"{name} must have 1 to {_MAX_CODE_LENGTH} characters.")


def check_ocids(name: str, value: Any) -> None:
    check_texts(name, value)
    for item in value:
        check_ocid(name, item)


def check_pool_configurations(name: str, value: Any) -> None:
    checks = {
        **{"shape": check_name, "shapeConfig": check_shape_config},
        **{"min": integer_between(0, _MAX_NODES), "max": integer_between(1, _MAX_NODES)},
    }
    check_objects(name, value, checks, _MAX_POOL_CONFIGURATIONS)
    if not value:
        raise invalid(f"{name} needs at least one entry.")
    for item in value:
        if item.get("min") is not None and item.get("max") is not None and item["min"] > item["max"]:
            raise invalid(f"{name}: min must not be larger than max.")


def check_pool_schedules(name: str, value: Any) -> None:
    hour = integer_between(0, 23)
    check_objects(name, value, {"dayOfWeek": one_of(DAYS), "startTime": hour, "stopTime": hour})


def check_network_configuration(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    one_of(("VCN", "SECURE_ACCESS"))(f"{name}.networkType", value.get("networkType"))
    if value["networkType"] == "VCN":
        for key in ("vcnId", "subnetId"):
            check_ocid(f"{name}.{key}", value.get(key))
        if value.get("nsgIds") is not None:
            check_ocids(f"{name}.nsgIds", value["nsgIds"])
    elif value.get("accessControlRules") is not None:
        notation = one_of(("IP_ADDRESS", "CIDR", "VCN", "VCN_OCID"))
        checks = {"ipNotation": notation, "value": check_name, "vcnIps": check_text}
        check_objects(f"{name}.accessControlRules", value["accessControlRules"], checks)
        for rule in value["accessControlRules"]:
            if rule.get("ipNotation") is None or rule.get("value") is None:
                raise invalid(f"{name}.accessControlRules: each needs ipNotation and value.")


def check_scans(name: str, value: Any) -> None:
    check_objects(name, value, {"fqdn": check_name, "port": check_text})


def check_parameters(name: str, value: Any) -> None:
    if not isinstance(value, list):
        raise invalid(f"{name} must be a list.")
    for item in value:
        if not isinstance(item, dict) or not all(isinstance(item.get(k), str) for k in ("name", "value")):
            raise invalid(f"{name}: each needs a name and a value, both strings.")
        if not _PARAMETER_NAME.match(item["name"]):
            raise invalid(f"{name}: the name {item['name']!r} may only consist of letters, digits and _.")


def check_shape_config(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    for key in ("ocpus", "memoryInGBs"):
        number = value.get(key)
        if number is None:
            continue
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number <= 10_000:
            raise invalid(f"{name}.{key} must be a positive number.")


def check_log_config(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    for key in ("logGroupId", "logId"):
        check_ocid(f"{name}.{key}", value.get(key))
