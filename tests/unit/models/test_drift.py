"""Our fields beside those of the installed SDK and of Terraform: none is missing, none is made up."""

from __future__ import annotations

from dataclasses import fields

import pytest

from airflow_provider_dataflow.models.application import Application, ApplicationDetails
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.pool import Pool, PoolDetails, PoolState
from airflow_provider_dataflow.models.run import Run, RunLog
from airflow_provider_dataflow.models.run_request import UPDATABLE, RunRequest
from airflow_provider_dataflow.models.run_update import RunUpdate
from airflow_provider_dataflow.models.statement import (
    Statement,
    StatementDetails,
    StatementOutput,
    StatementState,
)

# Terraform's resource oci_dataflow_invoke_run.
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
# Its attributes, and those of the data source of the same name: together, all that a run has.
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
# How Terraform waits; here, that is the operator's.
ONLY_TERRAFORMS = {"asynchronous"}


def sdk_fields(model: str) -> set[str]:
    from oci.data_flow import models

    return set(getattr(models, model)().attribute_map.values())


def wire_names(cls, names) -> set[str]:
    return {api_name(f) for f in fields(cls) if f.name in names}


def test_the_arguments_are_the_sdks():
    body = {f.name for f in fields(RunRequest) if "read" in f.metadata and "header" not in f.metadata}
    assert wire_names(RunRequest, body) == sdk_fields("CreateRunDetails")


def test_what_can_be_updated_is_what_the_sdk_can_update():
    assert wire_names(RunRequest, UPDATABLE) == sdk_fields("UpdateRunDetails")


def test_the_attributes_are_the_sdks():
    assert wire_names(Run, Run.attribute_names()) == sdk_fields("Run")


def test_a_summary_has_no_attribute_that_a_run_has_not():
    assert sdk_fields("RunSummary") <= sdk_fields("Run")


def test_the_fields_of_a_log_are_the_sdks():
    assert wire_names(RunLog, {f.name for f in fields(RunLog)}) == sdk_fields("RunLogSummary") - {"runId"}


@pytest.mark.parametrize(
    ("ours", "terraforms"),
    [
        (RunRequest.argument_names(), TERRAFORM_ARGUMENTS - ONLY_TERRAFORMS),
        (Run.attribute_names(), TERRAFORM_ATTRIBUTES),
    ],
    ids=["arguments", "attributes"],
)
def test_the_names_are_terraforms(ours, terraforms):
    assert set(ours) == terraforms


@pytest.mark.parametrize(
    ("details", "create", "update"),
    [
        (ApplicationDetails, "CreateApplicationDetails", "UpdateApplicationDetails"),
        (PoolDetails, "CreatePoolDetails", "UpdatePoolDetails"),
        (StatementDetails, "CreateStatementDetails", None),
        (RunUpdate, None, "UpdateRunDetails"),
    ],
)
def test_what_can_be_asked_for_is_what_the_sdk_can_ask_for(details, create, update):
    names = {f.name for f in fields(details)}
    if create:
        assert wire_names(details, names) == sdk_fields(create)
    if update:
        changeable = {f.name for f in fields(details) if not f.metadata["fixed"]}
        assert wire_names(details, changeable) == sdk_fields(update)


@pytest.mark.parametrize("resource", [Application, Pool, Statement])
def test_the_attributes_of_the_others_are_the_sdks(resource):
    assert wire_names(resource, resource.attribute_names()) == sdk_fields(resource.__name__)
    assert sdk_fields(f"{resource.__name__}Summary") <= sdk_fields(resource.__name__)


def test_the_output_of_a_statement_is_the_sdks():
    ours = {f.name for f in fields(StatementOutput)} - {"type", "value"}
    assert wire_names(StatementOutput, ours) == sdk_fields("StatementOutput") - {"data"}


@pytest.mark.parametrize(("ours", "model"), [(PoolState, "Pool"), (StatementState, "Statement")])
def test_the_states_of_the_others_are_the_sdks(ours, model):
    from oci.data_flow import models

    of_sdk = {
        value for name, value in vars(getattr(models, model)).items() if name.startswith("LIFECYCLE_STATE_")
    }
    assert of_sdk == set(ours)
