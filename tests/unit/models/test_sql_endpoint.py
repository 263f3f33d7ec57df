from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint, SqlEndpointDetails
from tests.unit.support import COMPARTMENT_ID

RULES = [{"ip_notation": "cidr", "value": "10.0.0.0/16"}]
SQL_ENDPOINT = {
    "compartment_id": COMPARTMENT_ID,
    "display_name": "sql",
    "driver_shape": "VM.Standard.E4.Flex",
    "executor_shape": "VM.Standard.E4.Flex",
    "max_executor_count": "4",
    "min_executor_count": 1,
    "network_configuration": {"network_type": "secure_access", "access_control_rules": RULES},
    "sql_endpoint_version": "3.5.0",
    "warehouse_bucket_uri": "oci://warehouse@ns/",
}
VCN = {"network_type": "VCN", "vcn_id": "ocid1.vcn.oc1..a", "subnet_id": "ocid1.subnet.oc1..a"}


def test_values_are_converted_to_the_types_of_the_api():
    details = SqlEndpointDetails.build(SQL_ENDPOINT)
    details.check()
    body = details.body()
    assert (body["minExecutorCount"], body["maxExecutorCount"]) == (1, 4)
    assert body["networkConfiguration"] == {
        "networkType": "SECURE_ACCESS",
        "accessControlRules": [{"ipNotation": "CIDR", "value": "10.0.0.0/16"}],
    }
    vcn = SqlEndpointDetails.build(SQL_ENDPOINT | {"network_configuration": VCN}).body()
    assert vcn["networkConfiguration"]["subnetId"] == "ocid1.subnet.oc1..a"


def test_update_has_the_changed_fields_but_no_immutable_or_hidden_ones():
    details = SqlEndpointDetails.build(SQL_ENDPOINT | {"log_retention_duration": 30, "description": "new"})
    existing = details.body() | {
        "description": "old",
        "sqlEndpointVersion": "3.2.1",
        "networkConfiguration": {},
    }
    del existing["logRetentionDuration"]
    assert details.differences(existing) == {"description": "new"}


def test_details_of_the_state_are_the_state_message():
    body = {"id": "x", "lifecycleState": "NEEDS_ATTENTION", "stateMessage": "No metastore."}
    assert SqlEndpoint.from_api(body).lifecycle_details == "No metastore."


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        *(({name: None}, name) for name in SQL_ENDPOINT),
        ({"min_executor_count": 5}, "min_executor_count"),
        ({"min_executor_count": 0}, "min_executor_count"),
        ({"network_configuration": {}}, "network_configuration.network_type"),
        ({"network_configuration": {"network_type": "VPN"}}, "network_configuration.network_type"),
        ({"network_configuration": {"network_type": "VCN"}}, "network_configuration.vcn_id"),
        ({"network_configuration": VCN | {"subnet_id": "x"}}, "network_configuration.subnet_id"),
        (
            {"network_configuration": VCN | {"access_control_rules": RULES}},
            "network_configuration.access_control_rules",
        ),
        (
            {"network_configuration": VCN | {"network_type": "SECURE_ACCESS"}},
            "network_configuration.vcn_id",
        ),
        (
            {"network_configuration": {"network_type": "SECURE_ACCESS", "access_control_rules": [{}]}},
            "network_configuration.access_control_rules[0].ip_notation",
        ),
        ({"metastore_id": "ocid1.vcn.oc1..a"}, "metastore_id"),
        ({"warehouse_bucket_uri": "s3://x"}, "warehouse_bucket_uri"),
    ],
)
def test_error_names_path_of_invalid_endpoint(changes, path):
    with pytest.raises(InvalidArgument) as caught:
        SqlEndpointDetails.build(SQL_ENDPOINT | changes).check()
    assert caught.value.path == path
