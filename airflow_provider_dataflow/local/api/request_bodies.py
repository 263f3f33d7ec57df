"""Fields of the request bodies of all operations, and checks that involve several fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from airflow_provider_dataflow.local.api.field_checks import (
    Check,
    check_code,
    check_configuration,
    check_defined_tags,
    check_freeform_tags,
    check_log_config,
    check_name,
    check_network_configuration,
    check_ocid,
    check_ocids,
    check_parameters,
    check_pool_configurations,
    check_pool_schedules,
    check_scans,
    check_security_attributes,
    check_shape_config,
    check_text,
    check_texts,
    check_uri,
    check_uris,
    integer_between,
    one_of,
)
from airflow_provider_dataflow.local.http.messages import JSON, Request, invalid, missing
from airflow_provider_dataflow.local.state.execute_string import language_of

LANGUAGES = frozenset({"SCALA", "JAVA", "PYTHON", "SQL"})
RUN_TYPES = frozenset({"BATCH", "STREAMING", "SESSION"})
SPARK_VERSIONS = ("3.5.0", "3.2.1", "3.0.2", "2.4.4")
LATEST_SPARK_VERSION = SPARK_VERSIONS[0]


@dataclass(frozen=True, slots=True)
class BodySchema:
    """Fields of a request body with their checks, and the names of the required ones."""

    checks: Mapping[str, Check]
    required: frozenset[str] = frozenset()

    def read(self, request: Request) -> JSON:
        """Return the checked fields of a request's body. A field that is null counts as absent.

        Unknown fields are ignored, because newer clients may send them, and noted in the journal.

        :raises ApiError: 400, a field is wrong or missing.
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


_DURATION = integer_between(1, 365 * 24 * 60)

_TAGS: dict[str, Check] = {"definedTags": check_defined_tags, "freeformTags": check_freeform_tags}

_COMMON: dict[str, Check] = {
    **_TAGS,
    "applicationLogConfig": check_log_config,
    "archiveUri": check_uris,
    "arguments": check_texts,
    "compartmentId": check_ocid,
    "configuration": check_configuration,
    "displayName": check_name,
    "driverShape": check_name,
    "driverShapeConfig": check_shape_config,
    "execute": check_text,
    "executorShape": check_name,
    "executorShapeConfig": check_shape_config,
    "idleTimeoutInMinutes": integer_between(1, 7 * 24 * 60),
    "logsBucketUri": check_uri,
    "maxDurationInMinutes": _DURATION,
    "metastoreId": check_ocid,
    "numExecutors": integer_between(1, 10_000),
    "parameters": check_parameters,
    "poolId": check_ocid,
    "sparkVersion": check_text,
    "type": one_of(sorted(RUN_TYPES)),
    "warehouseBucketUri": check_uri,
}

CREATE_RUN = BodySchema({**_COMMON, "applicationId": check_ocid}, frozenset({"compartmentId"}))
UPDATE_RUN = BodySchema(
    {
        **_TAGS,
        "maxDurationInMinutes": _DURATION,
        "idleTimeoutInMinutes": _COMMON["idleTimeoutInMinutes"],
    }
)
_APPLICATION: dict[str, Check] = {
    **_COMMON,
    "className": check_name,
    "description": check_text,
    "fileUri": check_uri,
    "language": one_of(sorted(LANGUAGES)),
    "privateEndpointId": check_ocid,
}
CREATE_APPLICATION = BodySchema(
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
UPDATE_APPLICATION = BodySchema({k: v for k, v in _APPLICATION.items() if k not in ("compartmentId", "type")})
CHANGE_COMPARTMENT = BodySchema({"compartmentId": check_ocid}, frozenset({"compartmentId"}))


_POOL: dict[str, Check] = {
    **_TAGS,
    "configurations": check_pool_configurations,
    "description": check_text,
    "displayName": check_name,
    "idleTimeoutInMinutes": _DURATION,
    "schedules": check_pool_schedules,
}
CREATE_POOL = BodySchema(
    {**_POOL, "compartmentId": check_ocid}, frozenset({"compartmentId", "configurations", "displayName"})
)
UPDATE_POOL = BodySchema(_POOL)
_PRIVATE_ENDPOINT: dict[str, Check] = {
    **_TAGS,
    "description": check_text,
    "displayName": check_name,
    "dnsZones": check_texts,
    "maxHostCount": integer_between(1, 1 << 16),
    "nsgIds": check_ocids,
    "scanDetails": check_scans,
    "securityAttributes": check_security_attributes,
}
CREATE_PRIVATE_ENDPOINT = BodySchema(
    {**_PRIVATE_ENDPOINT, "compartmentId": check_ocid, "subnetId": check_ocid},
    frozenset({"compartmentId", "dnsZones", "subnetId"}),
)
UPDATE_PRIVATE_ENDPOINT = BodySchema(_PRIVATE_ENDPOINT)
_SQL_ENDPOINT: dict[str, Check] = {
    **_TAGS,
    "description": check_text,
    "displayName": check_name,
    "driverShape": check_name,
    "driverShapeConfig": check_shape_config,
    "executorShape": check_name,
    "executorShapeConfig": check_shape_config,
    "lakeId": check_text,
    "logCompartmentId": check_ocid,
    "logDisplayName": check_name,
    "logGroupId": check_ocid,
    "logRetentionDuration": integer_between(1, 10_000),
    "maxExecutorCount": integer_between(1, 10_000),
    "metastoreId": check_ocid,
    "minExecutorCount": integer_between(1, 10_000),
    "sparkAdvancedConfigurations": check_configuration,
}
CREATE_SQL_ENDPOINT = BodySchema(
    {
        **_SQL_ENDPOINT,
        "compartmentId": check_ocid,
        "networkConfiguration": check_network_configuration,
        "sqlEndpointVersion": check_name,
        "warehouseBucketUri": check_uri,
    },
    frozenset(
        {
            # The API reference requires lakeId and warehouseBucketUri too, but Terraform's provider has no
            # arguments for them.
            *("compartmentId", "displayName", "driverShape", "executorShape", "maxExecutorCount"),
            *("metastoreId", "minExecutorCount", "networkConfiguration", "sqlEndpointVersion"),
        }
    ),
)
UPDATE_SQL_ENDPOINT = BodySchema({**_SQL_ENDPOINT, "logOperation": one_of(("ENABLE", "DISABLE", "DELETE"))})
CREATE_STATEMENT = BodySchema({"code": check_code}, frozenset({"code"}))


def check_properties(configuration: Mapping[str, str], forbidden: Iterable[str]) -> None:
    """Check that a configuration sets no forbidden property.

    :param forbidden: patterns of the names of the forbidden properties.
    :raises ApiError: 400.
    """
    for pattern in forbidden:
        for key in configuration:
            if fnmatchcase(key, pattern):
                raise invalid(f"configuration: the Spark property {key} may not be set.")


def check_spark_version(version: str, also: str | None) -> None:
    """Check that a Spark version is supported.

    :param also: version of the installed Spark, which is supported, too.
    :raises ApiError: 400.
    """
    if version not in SPARK_VERSIONS and version != also:
        raise invalid(f"sparkVersion {version} is not supported; supported are: {', '.join(SPARK_VERSIONS)}.")


def check_main(language: str, file_uri: str, class_name: str | None) -> None:
    """Check that main file, language and class name fit together.

    :raises ApiError: 400.
    """
    if language in ("JAVA", "SCALA") and not class_name:
        raise missing(f"className is required for the language {language}.")
    if language == "PYTHON" and language_of(file_uri) == "JAVA" and file_uri.lower().endswith(".jar"):
        raise invalid("fileUri: a jar cannot be the main file of the language PYTHON.")
