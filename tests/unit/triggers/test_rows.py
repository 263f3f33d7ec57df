"""Rows of triggers in Airflow's database: complete, and readable across versions of this package."""

from __future__ import annotations

import ast
import inspect
import json
from typing import Any

import pytest

from airflow_provider_dataflow.arguments.run_arguments import ATTRIBUTES
from airflow_provider_dataflow.arguments.task_settings import argument_names
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.triggers.base import DataFlowTrigger
from airflow_provider_dataflow.triggers.pool import PoolTrigger
from airflow_provider_dataflow.triggers.run import RunTrigger
from airflow_provider_dataflow.triggers.run_event import RunEventTrigger
from airflow_provider_dataflow.triggers.sql_endpoint import SqlEndpointTrigger
from airflow_provider_dataflow.triggers.statement import StatementTrigger
from airflow_provider_dataflow.triggers.submit import SubmitRunTrigger
from tests.unit.support import APPLICATION_ID, COMPARTMENT_ID, RUN_ID

PACKAGE = "airflow_provider_dataflow.triggers"
HOOK_ROW: dict[str, Any] = {
    "oci_conn_id": "oci_default",
    "region": "eu-frankfurt-1",
    "service_endpoint": None,
    "auth_type": None,
    "config_file": None,
    "profile": None,
}
#: Rows exactly as version 0.1.0 wrote them.
ROWS: dict[str, tuple[type[DataFlowTrigger], dict[str, Any]]] = {
    f"{PACKAGE}.run.RunTrigger": (
        RunTrigger,
        {
            "run_id": RUN_ID,
            **HOOK_ROW,
            "target_states": ["SUCCEEDED"],
            "poll_interval": 30.0,
            "deadline": 5.0,
            "error_budget": 1800.0,
            "cancel_on_kill": True,
            "cancel_timeout": 25.0,
            "follow_logs": False,
            "compartment_id": COMPARTMENT_ID,
        },
    ),
    f"{PACKAGE}.pool.PoolTrigger": (
        PoolTrigger,
        {
            "pool_id": "ocid1.dataflowpool.oc1.iad.aaaa",
            "target_states": ["DELETED", "STOPPED"],
            "missing_is_deleted": True,
            **HOOK_ROW,
            "poll_interval": 30.0,
            "deadline": None,
            "error_budget": 1800.0,
        },
    ),
    f"{PACKAGE}.sql_endpoint.SqlEndpointTrigger": (
        SqlEndpointTrigger,
        {
            "sql_endpoint_id": "ocid1.dataflowsqlendpoint.oc1.iad.aaaa",
            "target_states": ["DELETED", "INACTIVE"],
            "missing_is_deleted": True,
            **HOOK_ROW,
            "poll_interval": 30.0,
            "deadline": None,
            "error_budget": 1800.0,
        },
    ),
    f"{PACKAGE}.statement.StatementTrigger": (
        StatementTrigger,
        {
            "run_id": RUN_ID,
            "statement_id": 3,
            "cancel_on_kill": True,
            **HOOK_ROW,
            "poll_interval": 30.0,
            "deadline": None,
            "error_budget": 1800.0,
        },
    ),
    f"{PACKAGE}.run_event.RunEventTrigger": (
        RunEventTrigger,
        {
            "application_id": APPLICATION_ID,
            "compartment_id": COMPARTMENT_ID,
            "states": ["FAILED", "SUCCEEDED"],
            **HOOK_ROW,
            "poll_interval": 30.0,
        },
    ),
    f"{PACKAGE}.submit.SubmitRunTrigger": (
        SubmitRunTrigger,
        {
            **HOOK_ROW,
            "application_id": APPLICATION_ID,
            "execute_string": "{{ x }}",
            "settings": {"submit": {}, "wait": {"cancel_on_kill": True}, "timeout": None},
        },
    ),
}
CLASSES = [cls for cls, _ in ROWS.values()]


@pytest.mark.parametrize("path", ROWS)
def test_row_of_first_version_is_read_and_written_alike(path):
    cls, row = ROWS[path]
    written_path, written = cls(**row).serialize()
    assert written_path == path
    assert {name: value for name, value in written.items() if name in row} == row
    assert all(value is None for name, value in written.items() if name not in row)


@pytest.mark.parametrize("path", ROWS)
def test_row_survives_storage_and_arguments_of_a_newer_version(path):
    cls, row = ROWS[path]
    written = json.loads(json.dumps(cls(**row).serialize()[1]))
    assert cls(**written, added_tomorrow=1).serialize() == (path, written)


@pytest.mark.parametrize("cls", CLASSES)
def test_row_has_every_argument_of_the_constructor(cls):
    # Each class has an argument for unknown fields, which argument_names leaves out.
    assert set(cls.serialized_fields) == set(argument_names(cls))
    assert len(cls.serialized_fields) == len(set(cls.serialized_fields))


def test_submit_trigger_keeps_every_argument_of_the_run():
    values = {name: f"value of {name}" for name in (*ATTRIBUTES.values(), *HOOK_ARGUMENTS, "json", "run_id")}
    trigger = SubmitRunTrigger(**values, settings={})
    assert {name: getattr(trigger, name) for name in values} == values


@pytest.mark.parametrize("cls", CLASSES)
def test_all_attributes_are_declared_in_a_constructor_or_on_the_class(cls):
    declared, assigned = set(), set()
    for base in cls.__mro__:
        if base.__module__.startswith("airflow_provider_dataflow."):
            (tree,) = ast.parse(inspect.getsource(base)).body
            for method in tree.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found = declared if method.name == "__init__" else assigned
                    found |= {
                        node.attr
                        for node in ast.walk(method)
                        if isinstance(node, ast.Attribute)
                        and isinstance(node.ctx, ast.Store)
                        and ast.unparse(node.value) == "self"
                    }
                elif isinstance(method, ast.AnnAssign):
                    declared.add(ast.unparse(method.target))
    assert assigned <= declared


def test_saved_progress_of_first_version_is_found():
    cls, row = ROWS[f"{PACKAGE}.run_event.RunEventTrigger"]
    assert cls(**row)._progress_key == "run_event:9d10e5d097815d6e"


def test_settings_that_are_no_dict_raise_the_error_that_airflow_catches():
    with pytest.raises(TypeError, match="settings"):
        SubmitRunTrigger(settings="x")
