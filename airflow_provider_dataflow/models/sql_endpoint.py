"""SQL endpoints: states, attributes, and the request to create or update one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.coercion import (
    choice,
    list_of,
    object_uri,
    ocid,
    structure,
    text,
    text_map,
    texts,
    whole_number,
)
from airflow_provider_dataflow.models.field_names import api_field, camel_case
from airflow_provider_dataflow.models.oci_tags import defined_tags, freeform_tags
from airflow_provider_dataflow.models.request_body import RequestBody, argument
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.models.shared_fields import compartment_ocid, display_name, shape_config


class SqlEndpointState(StrEnum):
    """States of a SQL endpoint (``lifecycleState`` of the API). A stopped endpoint is INACTIVE."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    UPDATING = "UPDATING"
    INACTIVE = "INACTIVE"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"


#: States of an endpoint that is deleted or about to be.
GONE_STATES: frozenset[str] = frozenset({SqlEndpointState.DELETING, SqlEndpointState.DELETED})
#: States that an endpoint leaves only if somebody acts: no wait continues in them.
DEAD_STATES: frozenset[str] = frozenset(
    {SqlEndpointState.FAILED, SqlEndpointState.NEEDS_ATTENTION, SqlEndpointState.DELETED}
)

VCN, SECURE_ACCESS = "VCN", "SECURE_ACCESS"
#: Members that only one type of network has.
OF_VCN = ("vcn_id", "subnet_id", "host_name_prefix", "nsg_ids")
OF_SECURE_ACCESS = ("access_control_rules",)
access_control_rule = structure(
    *("ip_notation", "value"),
    ip_notation=choice("IP_ADDRESS", "CIDR", "VCN", "VCN_OCID"),
    value=text,
    vcn_ips=text,
)
network_members = structure(
    "network_type",
    network_type=choice(VCN, SECURE_ACCESS),
    vcn_id=ocid("vcn"),
    subnet_id=ocid("subnet"),
    host_name_prefix=text,
    nsg_ids=texts,
    access_control_rules=list_of(access_control_rule),
)


def network_configuration(value: Any, path: str) -> dict[str, Any]:
    """Coerce the network of an endpoint, one of two forms that ``network_type`` chooses."""
    result: dict[str, Any] = network_members(value, path)
    is_vcn = result["networkType"] == VCN
    for name in ("vcn_id", "subnet_id"):
        if is_vcn and camel_case(name) not in result:
            raise InvalidArgument(f"{path}.{name}", f"missing; required for network_type {VCN}")
    for name in OF_SECURE_ACCESS if is_vcn else OF_VCN:
        if camel_case(name) in result:
            other = SECURE_ACCESS if is_vcn else VCN
            raise InvalidArgument(f"{path}.{name}", f"only for network_type {other}")
    return result


@dataclass(frozen=True, slots=True)
class SqlEndpoint(Resource):
    """SQL endpoint as the service returns it (``SqlEndpoint`` or ``SqlEndpointSummary``)."""

    kind: ClassVar[str] = "SQL endpoint"

    id: str
    state: str = field(metadata=api_field("lifecycleState"))
    banner_message: str | None = None
    compartment_id: str | None = None
    defined_tags: Mapping[str, Mapping[str, Any]] | None = None
    description: str | None = None
    display_name: str | None = None
    driver_shape: str | None = None
    driver_shape_config: Mapping[str, Any] | None = None
    executor_shape: str | None = None
    executor_shape_config: Mapping[str, Any] | None = None
    freeform_tags: Mapping[str, str] | None = None
    jdbc_endpoint_url: str | None = None
    lake_id: str | None = None
    last_accepted_request_token: str | None = None
    max_executor_count: int | None = None
    metastore_id: str | None = None
    min_executor_count: int | None = None
    network_configuration: Mapping[str, Any] | None = None
    owner_principal_id: str | None = None
    spark_advanced_configurations: Mapping[str, str] | None = None
    sql_endpoint_version: str | None = None
    state_message: str | None = None
    system_tags: Mapping[str, Mapping[str, Any]] | None = None
    time_created: datetime | None = None
    time_updated: datetime | None = None
    warehouse_bucket_uri: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def lifecycle_details(self) -> str | None:
        """Details of the state, under the name that other resources have for them."""
        return self.state_message


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SqlEndpointDetails(RequestBody):
    """Request for a SQL endpoint (``CreateSqlEndpointDetails``, ``UpdateSqlEndpointDetails``)."""

    compartment_id: str | None = argument(compartment_ocid, required=True, immutable=True)
    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    description: str | None = argument(text)
    display_name: str | None = argument(display_name, required=True)
    driver_shape: str | None = argument(text, required=True)
    driver_shape_config: Mapping[str, float] | None = argument(shape_config, service_adds_members=True)
    executor_shape: str | None = argument(text, required=True)
    executor_shape_config: Mapping[str, float] | None = argument(shape_config, service_adds_members=True)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    lake_id: str | None = argument(text)
    log_compartment_id: str | None = argument(compartment_ocid)
    log_display_name: str | None = argument(text)
    log_group_id: str | None = argument(ocid("loggroup"))
    log_retention_duration: int | None = argument(whole_number(1))
    max_executor_count: int | None = argument(whole_number(1), required=True)
    metastore_id: str | None = argument(ocid("datacatalogmetastore"))
    min_executor_count: int | None = argument(whole_number(1), required=True)
    network_configuration: Mapping[str, Any] | None = argument(
        network_configuration, required=True, immutable=True
    )
    spark_advanced_configurations: Mapping[str, str] | None = argument(text_map)
    sql_endpoint_version: str | None = argument(text, required=True, immutable=True)
    warehouse_bucket_uri: str | None = argument(object_uri, required=True, immutable=True)

    def check(self) -> None:
        super(SqlEndpointDetails, self).check()
        if (self.min_executor_count or 0) > (self.max_executor_count or 0):
            raise InvalidArgument("min_executor_count", "expected no more than max_executor_count")

    def differences(self, existing: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON of the update, without the log settings.

        The service does not return the log settings of an endpoint, so it is unknown whether they differ.
        """
        changes = super(SqlEndpointDetails, self).differences(existing)
        return {name: value for name, value in changes.items() if name not in _LOG_FIELDS}


_LOG_FIELDS = frozenset({"logCompartmentId", "logDisplayName", "logGroupId", "logRetentionDuration"})
