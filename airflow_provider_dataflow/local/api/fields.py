"""Validation of what clients send: types, limits, and which fields there are.

Written from the API's description and not from our own client, so that the one catches the other's mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_dataflow.local.http.messages import JSON, Request, invalid, missing
from airflow_provider_dataflow.local.state.buckets import parse_uri
from airflow_provider_dataflow.local.state.execute_string import language_of
from airflow_provider_dataflow.local.state.ocids import is_ocid
from airflow_provider_dataflow.local.state.pool_schedules import DAYS

LANGUAGES = frozenset({"SCALA", "JAVA", "PYTHON", "SQL"})
RUN_TYPES = frozenset({"BATCH", "STREAMING", "SESSION"})
SPARK_VERSIONS = ("3.5.0", "3.2.1", "3.0.2", "2.4.4")
LATEST_SPARK_VERSION = SPARK_VERSIONS[0]
_PARAMETER_NAME = re.compile(r"[a-zA-Z0-9_]+\Z")
_MAX_NAME = 255
# Of the service's tags: how many of each kind, and how long.
_MAX_FREEFORM_TAGS = 10
_MAX_DEFINED_TAGS = 64
_MAX_TAG_KEY = 100
_MAX_TAG_VALUE = 256
_MAX_POOL_CONFIGURATIONS = 3
_MAX_NODES = 10_000
_MAX_CODE = 1024 * 1024

Check = Callable[[str, Any], None]


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string.")


def _name(name: str, value: Any) -> None:
    _text(name, value)
    if not 1 <= len(value) <= _MAX_NAME:
        raise invalid(f"{name} must have 1 to {_MAX_NAME} characters.")


def _ocid(name: str, value: Any) -> None:
    _text(name, value)
    if not is_ocid(value):
        raise invalid(f"{name} is not a valid OCID.")


def _uri(name: str, value: Any) -> None:
    _text(name, value)
    try:
        parse_uri(value)
    except ValueError as e:
        raise invalid(f"{name}: {e}.") from None


def _uris(name: str, value: Any) -> None:
    _text(name, value)
    for part in value.split(","):
        _uri(name, part.strip())


def _integer(minimum: int, maximum: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid(f"{name} must be an integer.")
        if not minimum <= value <= maximum:
            raise invalid(f"{name} must be from {minimum} to {maximum}.")

    return check


def _one_of(values: Iterable[str]) -> Check:
    allowed = list(values)

    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise invalid(f"{name} must be one of {', '.join(allowed)}.")

    return check


def _texts(name: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid(f"{name} must be a list of strings.")


def _map_of_texts(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise invalid(f"{name} must map strings to strings.")


def _configuration(name: str, value: Any) -> None:
    _map_of_texts(name, value)
    for key in value:
        if not key or re.search(r"[\s=]", key):
            raise invalid(f"{name}: {key!r} is not the name of a Spark property.")


def _tag(name: str, key: str, value: Any) -> None:
    if not 1 <= len(key) <= _MAX_TAG_KEY:
        raise invalid(f"{name}: the key of a tag must have 1 to {_MAX_TAG_KEY} characters.")
    if isinstance(value, str) and len(value) > _MAX_TAG_VALUE:
        raise invalid(f"{name}: the value of {key} has more than {_MAX_TAG_VALUE} characters.")


def _freeform_tags(name: str, value: Any) -> None:
    _map_of_texts(name, value)
    if len(value) > _MAX_FREEFORM_TAGS:
        raise invalid(f"{name} may have at most {_MAX_FREEFORM_TAGS} tags.")
    for key, text in value.items():
        _tag(name, key, text)


def _defined_tags(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise invalid(f"{name} must map namespaces to maps of tags.")
    if sum(len(tags) for tags in value.values()) > _MAX_DEFINED_TAGS:
        raise invalid(f"{name} may have at most {_MAX_DEFINED_TAGS} tags.")
    for namespace, tags in value.items():
        if not 1 <= len(namespace) <= _MAX_TAG_KEY:
            raise invalid(f"{name}: a namespace must have 1 to {_MAX_TAG_KEY} characters.")
        for key, item in tags.items():
            if isinstance(item, dict | list):
                raise invalid(f"{name}: the value of {namespace}.{key} must be a plain one.")
            _tag(name, key, item)


def _security_attributes(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise invalid(f"{name} must map namespaces to maps of attributes.")


def _objects(name: str, value: Any, checks: Mapping[str, Check], maximum: int | None = None) -> None:
    """A list of objects, whose fields are checked as far as they are known."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid(f"{name} must be a list of objects.")
    if maximum is not None and len(value) > maximum:
        raise invalid(f"{name} may have at most {maximum} entries.")
    for item in value:
        for key, check in checks.items():
            if item.get(key) is not None:
                check(f"{name}.{key}", item[key])


def _code(name: str, value: Any) -> None:
    _text(name, value)
    if not 1 <= len(value) <= _MAX_CODE:
        raise invalid(f"{name} must have 1 to {_MAX_CODE} characters.")


def _ocids(name: str, value: Any) -> None:
    _texts(name, value)
    for item in value:
        _ocid(name, item)


def _pool_configurations(name: str, value: Any) -> None:
    nodes = _integer(1, _MAX_NODES)
    checks = {"shape": _name, "shapeConfig": _shape_config, "min": nodes, "max": nodes}
    _objects(name, value, checks, _MAX_POOL_CONFIGURATIONS)
    if not value:
        raise invalid(f"{name} needs at least one entry.")
    for item in value:
        if item.get("min") is not None and item.get("max") is not None and item["min"] > item["max"]:
            raise invalid(f"{name}: min must not be larger than max.")


def _pool_schedules(name: str, value: Any) -> None:
    hour = _integer(0, 23)
    _objects(name, value, {"dayOfWeek": _one_of(DAYS), "startTime": hour, "stopTime": hour})


def _scans(name: str, value: Any) -> None:
    _objects(name, value, {"fqdn": _name, "port": _text})


def _parameters(name: str, value: Any) -> None:
    if not isinstance(value, list):
        raise invalid(f"{name} must be a list.")
    for item in value:
        if not isinstance(item, dict) or not all(isinstance(item.get(k), str) for k in ("name", "value")):
            raise invalid(f"{name}: each needs a name and a value, both strings.")
        if not _PARAMETER_NAME.match(item["name"]):
            raise invalid(f"{name}: the name {item['name']!r} may only consist of letters, digits and _.")


def _shape_config(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    for key in ("ocpus", "memoryInGBs"):
        number = value.get(key)
        if number is None:
            continue
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number <= 10_000:
            raise invalid(f"{name}.{key} must be a positive number.")


def _log_config(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    for key in ("logGroupId", "logId"):
        _ocid(f"{name}.{key}", value.get(key))


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a request body, and which of them are required."""

    checks: Mapping[str, Check]
    required: frozenset[str] = frozenset()

    def read(self, request: Request) -> JSON:
        """The body with the fields that we know; what is null counts as absent.

        A field that we do not know is left aside, as newer clients may send more, but noted in the journal.

        :raises ApiError: 400
        """
        body = request.json()
        unknown = sorted(set(body) - set(self.checks))
        if unknown:
            request.notes["ignoredFields"] = unknown
        values = {k: v for k, v in body.items() if v is not None and k in self.checks}
        for name in sorted(self.required):
            if name not in values:
                raise missing(f"{name} is required.")
        for name, value in values.items():
            self.checks[name](name, value)
        return values


_DURATION = _integer(1, 365 * 24 * 60)

_TAGS: dict[str, Check] = {"definedTags": _defined_tags, "freeformTags": _freeform_tags}

_COMMON: dict[str, Check] = {
    **_TAGS,
    "applicationLogConfig": _log_config,
    "archiveUri": _uris,
    "arguments": _texts,
    "compartmentId": _ocid,
    "configuration": _configuration,
    "displayName": _name,
    "driverShape": _name,
    "driverShapeConfig": _shape_config,
    "execute": _text,
    "executorShape": _name,
    "executorShapeConfig": _shape_config,
    "idleTimeoutInMinutes": _integer(1, 7 * 24 * 60),
    "logsBucketUri": _uri,
    "maxDurationInMinutes": _DURATION,
    "metastoreId": _ocid,
    "numExecutors": _integer(1, 10_000),
    "parameters": _parameters,
    "poolId": _ocid,
    "sparkVersion": _text,
    "type": _one_of(sorted(RUN_TYPES)),
    "warehouseBucketUri": _uri,
}

CREATE_RUN = Fields({**_COMMON, "applicationId": _ocid}, frozenset({"compartmentId"}))
UPDATE_RUN = Fields(
    {
        **_TAGS,
        "maxDurationInMinutes": _DURATION,
        "idleTimeoutInMinutes": _COMMON["idleTimeoutInMinutes"],
    }
)
_APPLICATION: dict[str, Check] = {
    **_COMMON,
    "className": _name,
    "description": _text,
    "fileUri": _uri,
    "language": _one_of(sorted(LANGUAGES)),
    "privateEndpointId": _ocid,
}
CREATE_APPLICATION = Fields(
    _APPLICATION,
    frozenset(
        {
            "compartmentId",
            "displayName",
            "driverShape",
            "executorShape",
            "language",
            "numExecutors",
            "sparkVersion",
        }
    ),
)
UPDATE_APPLICATION = Fields({k: v for k, v in _APPLICATION.items() if k not in ("compartmentId", "type")})
CHANGE_COMPARTMENT = Fields({"compartmentId": _ocid}, frozenset({"compartmentId"}))


_POOL: dict[str, Check] = {
    **_TAGS,
    "configurations": _pool_configurations,
    "description": _text,
    "displayName": _name,
    "idleTimeoutInMinutes": _DURATION,
    "schedules": _pool_schedules,
}
CREATE_POOL = Fields(
    {**_POOL, "compartmentId": _ocid}, frozenset({"compartmentId", "configurations", "displayName"})
)
UPDATE_POOL = Fields(_POOL)
_PRIVATE_ENDPOINT: dict[str, Check] = {
    **_TAGS,
    "description": _text,
    "displayName": _name,
    "dnsZones": _texts,
    "maxHostCount": _integer(1, 1 << 16),
    "nsgIds": _ocids,
    "scanDetails": _scans,
    "securityAttributes": _security_attributes,
}
CREATE_PRIVATE_ENDPOINT = Fields(
    {**_PRIVATE_ENDPOINT, "compartmentId": _ocid, "subnetId": _ocid},
    frozenset({"compartmentId", "dnsZones", "subnetId"}),
)
UPDATE_PRIVATE_ENDPOINT = Fields(_PRIVATE_ENDPOINT)
CREATE_STATEMENT = Fields({"code": _code}, frozenset({"code"}))


def check_properties(configuration: Mapping[str, str], forbidden: Iterable[str]) -> None:
    """:param forbidden: patterns of the properties that may not be set"""
    for pattern in forbidden:
        for key in configuration:
            if fnmatchcase(key, pattern):
                raise invalid(f"configuration: the Spark property {key} may not be set.")


def check_spark_version(version: str, also: str | None) -> None:
    """:param also: the version of the installed engine"""
    if version not in SPARK_VERSIONS and version != also:
        raise invalid(f"sparkVersion {version} is not supported; these are: {', '.join(SPARK_VERSIONS)}.")


def check_main(language: str, file_uri: str, class_name: str | None) -> None:
    """What has to fit together once all fields are known."""
    if language in ("JAVA", "SCALA") and not class_name:
        raise missing(f"className is required for the language {language}.")
    if language == "PYTHON" and language_of(file_uri) == "JAVA" and file_uri.lower().endswith(".jar"):
        raise invalid("fileUri: a jar cannot be the main file of the language PYTHON.")
