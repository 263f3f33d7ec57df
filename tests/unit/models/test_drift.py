"""Fields of the models compared with the installed SDK and with Terraform."""

from __future__ import annotations

from dataclasses import fields

import pytest

from airflow_provider_dataflow.models.application import Application, ApplicationDetails
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.pool import Pool, PoolDetails, PoolState
from airflow_provider_dataflow.models.run import Run, RunLog
from airflow_provider_dataflow.models.run_request import RunRequest, RunUpdate
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint, SqlEndpointDetails, SqlEndpointState
from airflow_provider_dataflow.models.statement import (
    Statement,
    StatementDetails,
    StatementOutput,
    StatementState,
)

# Arguments of Terraform's resource oci_dataflow_invoke_run.
TERRAFORM_ARGUMENTS = frozenset(
    [
        *("application_id", "application_log_config", "archive_uri", "arguments", "asynchronous"),
        *("compartment_id", "configuration", "defined_tags", "display_name", "driver_shape"),
        *("driver_shape_config", "execute", "executor_shape", "executor_shape_config", "freeform_tags"),
        *("idle_timeout_in_minutes", "logs_bucket_uri", "max_duration_in_minutes", "metastore_id"),
        *("num_executors", "opc_parent_rpt_url", "parameters", "pool_id", "spark_version", "type"),
        "warehouse_bucket_uri",
    ]
)
# Attributes of that resource and of the data source of the same name: all that a run has.
TERRAFORM_ATTRIBUTES = frozenset(
    [
        *("application_id", "application_log_config", "archive_uri", "arguments", "class_name"),
        *("compartment_id", "configuration", "data_read_in_bytes", "data_written_in_bytes"),
        *("defined_tags", "display_name", "driver_shape", "driver_shape_config", "execute"),
        *("executor_shape", "executor_shape_config", "file_uri", "freeform_tags", "id"),
        *("idle_timeout_in_minutes", "language", "lifecycle_details", "logs_bucket_uri"),
        *("max_duration_in_minutes", "metastore_id", "num_executors", "opc_request_id"),
        *("owner_principal_id", "owner_user_name", "parameters", "pool_id"),
        *("private_endpoint_dns_zones", "private_endpoint_id", "private_endpoint_max_host_count"),
        *("private_endpoint_nsg_ids", "private_endpoint_subnet_id", "run_duration_in_milliseconds"),
        *("spark_version", "state", "time_created", "time_updated", "total_ocpu", "type"),
        "warehouse_bucket_uri",
    ]
)
# Controls how Terraform waits, as the operator's own arguments do.
TERRAFORM_ONLY = {"asynchronous"}


def sdk_fields(model: str) -> set[str]:
    from oci.data_flow import models

    return set(getattr(models, model)().attribute_map.values())


def api_names(cls, names) -> set[str]:
    return {api_name(f) for f in fields(cls) if f.name in names}


def test_run_request_has_the_fields_of_the_sdk():
    body = {f.name for f in RunRequest.argument_fields() if not f.metadata["header"]}
    assert api_names(RunRequest, body) == sdk_fields("CreateRunDetails")


def test_run_has_the_attributes_of_the_sdk():
    assert api_names(Run, Run.attribute_names()) == sdk_fields("Run")


def test_run_summary_has_no_attribute_of_its_own():
    assert sdk_fields("RunSummary") <= sdk_fields("Run")


def test_run_log_has_the_fields_of_the_sdk():
    assert api_names(RunLog, {f.name for f in fields(RunLog)}) == sdk_fields("RunLogSummary") - {"runId"}


@pytest.mark.parametrize(
    ("names", "terraform_names"),
    [
        (RunRequest.argument_names(), TERRAFORM_ARGUMENTS - TERRAFORM_ONLY),
        (Run.attribute_names(), TERRAFORM_ATTRIBUTES),
    ],
    ids=["arguments", "attributes"],
)
def test_run_has_the_names_of_terraform(names, terraform_names):
    assert set(names) == terraform_names


#: Field of an update that changes no field of the resource.
ACTIONS = {"logOperation"}


@pytest.mark.parametrize(
    ("details", "create", "update"),
    [
        (ApplicationDetails, "CreateApplicationDetails", "UpdateApplicationDetails"),
        (PoolDetails, "CreatePoolDetails", "UpdatePoolDetails"),
        (SqlEndpointDetails, "CreateSqlEndpointDetails", "UpdateSqlEndpointDetails"),
        (StatementDetails, "CreateStatementDetails", None),
        (RunUpdate, None, "UpdateRunDetails"),
    ],
)
def test_request_bodies_have_the_fields_of_the_sdk(details, create, update):
    names = set(details.argument_names())
    if create:
        assert api_names(details, names) == sdk_fields(create)
    if update:
        mutable = {f.name for f in details.argument_fields() if not f.metadata["immutable"]}
        assert api_names(details, mutable) == sdk_fields(update) - ACTIONS


@pytest.mark.parametrize("resource", [Application, Pool, Statement])
def test_other_resources_have_the_attributes_of_the_sdk(resource):
    assert api_names(resource, resource.attribute_names()) == sdk_fields(resource.__name__)
    assert sdk_fields(f"{resource.__name__}Summary") <= sdk_fields(resource.__name__)


def test_sql_endpoint_has_the_attributes_of_the_sdk():
    names = sdk_fields("SqlEndpoint") | sdk_fields("SqlEndpointSummary")
    assert api_names(SqlEndpoint, SqlEndpoint.attribute_names()) == names


def test_statement_output_has_the_fields_of_the_sdk():
    names = {f.name for f in fields(StatementOutput)} - {"type", "value"}
    assert api_names(StatementOutput, names) == sdk_fields("StatementOutput") - {"data"}


@pytest.mark.parametrize(
    ("states", "model"),
    [(PoolState, "Pool"), (SqlEndpointState, "SqlEndpoint"), (StatementState, "Statement")],
)
def test_other_resources_have_the_states_of_the_sdk(states, model):
    from oci.data_flow import models

    sdk_states = {
        value for name, value in vars(getattr(models, model)).items() if name.startswith("LIFECYCLE_STATE_")
    }
    assert sdk_states == set(states)
