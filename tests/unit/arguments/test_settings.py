"""The tables of settings read every argument of every operator, sensor and trigger before any request."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import pkgutil
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.triggers.base import BaseTrigger

import airflow_provider_dataflow
from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS, TRIGGER_SETTINGS
from airflow_provider_dataflow.arguments.task_settings import argument_names
from airflow_provider_dataflow.compat import triggers_have_on_kill
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.coercion import boolean, choice, choices
from airflow_provider_dataflow.models.durations import MAX_SECONDS, minutes, moment, seconds
from tests.unit.arguments.inputs import all_arguments
from tests.unit.support import APPLICATION_ID, RUN_ID, FakeTaskInstance

POOL_ID = "ocid1.dataflowpool.oc1.iad.aaaa"
SQL_ENDPOINT_ID = "ocid1.dataflowsqlendpoint.oc1.iad.aaaa"
SQL_ENDPOINT = {
    "display_name": "sql",
    "driver_shape": "VM.Standard.E4.Flex",
    "executor_shape": "VM.Standard.E4.Flex",
    "max_executor_count": 2,
    "min_executor_count": 1,
    "network_configuration": {"network_type": "SECURE_ACCESS"},
    "sql_endpoint_version": "3.5.0",
    "warehouse_bucket_uri": "oci://warehouse@ns/",
}
#: Required arguments of each class. A new class fails the tests until it is here.
REQUIRED: dict[str, dict[str, Any]] = {
    "CancelOrphanRunsOperator": {"deployment_id": "here"},
    "CancelRunOperator": {"run_id": RUN_ID},
    "CreateOrUpdateApplicationOperator": {"display_name": "app"},
    "CreateOrUpdateSqlEndpointOperator": SQL_ENDPOINT,
    "CreatePoolOperator": {"display_name": "warm", "configurations": []},
    "DeleteApplicationOperator": {"application_id": APPLICATION_ID},
    "DeletePoolOperator": {"pool_id": POOL_ID},
    "DeleteSqlEndpointOperator": {"sql_endpoint_id": SQL_ENDPOINT_ID},
    "GetRunOperator": {"run_id": RUN_ID},
    "InvokeRunOperator": {"application_id": APPLICATION_ID},
    "ListRunsOperator": {},
    "PoolTrigger": {"pool_id": POOL_ID},
    "RunEventTrigger": {},
    "RunSensor": {"run_id": RUN_ID},
    "RunStatementOperator": {"run_id": RUN_ID, "code": "1"},
    "RunTrigger": {"run_id": RUN_ID},
    "SqlEndpointTrigger": {"sql_endpoint_id": SQL_ENDPOINT_ID},
    "StartPoolOperator": {"pool_id": POOL_ID},
    "StartSqlEndpointOperator": {"sql_endpoint_id": SQL_ENDPOINT_ID},
    "StatementTrigger": {"run_id": RUN_ID, "statement_id": 1},
    "StopPoolOperator": {"pool_id": POOL_ID},
    "StopSqlEndpointOperator": {"sql_endpoint_id": SQL_ENDPOINT_ID},
    "UpdateRunOperator": {"run_id": RUN_ID, "max_duration_in_minutes": 5},
}
#: Arguments that are no settings: both are sent as they are.
NO_SETTINGS = {"code", "json"}
#: Arguments that cannot be templates: Airflow reads them before it renders.
NEVER_TEMPLATED = {"start_from_trigger"}
#: Durations are recognized by their names, independently of the table.
LOOKS_LIKE_A_DURATION = re.compile(r"timeout|interval|budget|delay|pause|period|seconds|wait(?!_for)|margin")
OPTIONAL = {"timeout", "completion_timeout"}

USABLE = [
    *(5, 5.0, "5", " 5.0 ", Decimal(5), timedelta(seconds=5), "0:00:05", "0 days, 0:00:05"),
    pendulum.duration(seconds=5),
]
UNUSABLE = [
    *(0, -5, 0.0, math.nan, math.inf, -math.inf, True, False, "", "soon", "0", "nan", "inf", "1e999", "5 s"),
    *([5], {"seconds": 5}, {5}, b"5", object(), datetime.now(UTC), timedelta(0), timedelta(seconds=-1)),
    *("-0:00:05", 10**400, MAX_SECONDS * 2, timedelta.max, "None!", "0:99"),
]


def public_classes() -> list[type]:
    found = set()
    for module in pkgutil.walk_packages(
        airflow_provider_dataflow.__path__, f"{airflow_provider_dataflow.__name__}."
    ):
        if module.name.split(".")[1] in ("operators", "sensors", "triggers"):
            for kind in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(kind) and issubclass(kind, (BaseOperator, BaseTrigger)):
                    found.add(kind)
    return sorted(
        (
            kind
            for kind in found
            if kind.__module__.startswith(airflow_provider_dataflow.__name__)
            and not kind.__name__.startswith("_")
            and kind.__name__ not in ("DataFlowOperator", "WaitingOperator", "PoolOperator")
            and kind.__name__ not in ("AwaitedRunOperator", "OwnedRunOperator", "RetryOnCauseOperator")
            and not inspect.isabstract(kind)
            and kind.__name__ not in ("DataFlowTrigger", "SubmitRunTrigger")
        ),
        key=lambda kind: kind.__name__,
    )


CLASSES = public_classes()
TASKS = [kind for kind in CLASSES if issubclass(kind, BaseOperator)]
TASKS_BY_NAME: dict[str, Any] = {kind.__name__: kind for kind in TASKS}
TRIGGERS = [kind for kind in CLASSES if issubclass(kind, BaseTrigger)]


@pytest.mark.parametrize("kind", CLASSES)
def test_page_shows_what_every_argument_accepts(kind):
    assert set(argument_names(kind)) <= {argument.name for argument in all_arguments()}


def durations_of(kind: type) -> list[str]:
    body = getattr(kind, "body_arguments", ())
    return [name for name in argument_names(kind) if LOOKS_LIKE_A_DURATION.search(name) and name not in body]


DURATIONS_OF_TASKS = [(kind, name) for kind in TASKS for name in durations_of(kind)]
DURATIONS_OF_TRIGGERS = [(kind, name) for kind in TRIGGERS for name in durations_of(kind)]


def made(kind: type, **arguments: Any) -> Any:
    task_id = {"task_id": "task"} if issubclass(kind, BaseOperator) else {}
    return kind(**task_id, **REQUIRED[kind.__name__] | arguments)


@pytest.fixture
def no_calls(mocker, connection):
    """Fails a test that calls the service."""
    mocker.patch.object(DataFlowHook, "new_client", side_effect=AssertionError("the service was called"))
    mocker.patch.object(DataFlowHook, "async_client", side_effect=AssertionError("the service was called"))


def test_all_classes_are_found():
    assert {kind.__name__ for kind in CLASSES} == set(REQUIRED)
    assert len(DURATIONS_OF_TASKS) > 20
    assert len(DURATIONS_OF_TRIGGERS) >= 6


@pytest.mark.parametrize("kind", CLASSES)
def test_every_argument_is_in_the_table_or_in_the_request(kind):
    body = getattr(kind, "body_arguments", set())
    for name in set(argument_names(kind)) - body - NO_SETTINGS:
        assert name in (TASK_SETTINGS if issubclass(kind, BaseOperator) else TRIGGER_SETTINGS), name
    for name in durations_of(kind):
        with pytest.raises(InvalidArgument):
            TASK_SETTINGS[name].read(0, name)


@pytest.mark.parametrize("kind", TASKS)
def test_every_argument_that_airflow_can_render_is_templated(kind):
    attributes = {name: "execute_string" if name == "execute" else name for name in argument_names(kind)}
    # RunStatementOperator always waits.
    unused = {"wait_for_completion"} if kind.__name__ == "RunStatementOperator" else set()
    templated = {attributes[name] for name in argument_names(kind)} - NEVER_TEMPLATED - unused
    assert templated == set(kind.template_fields)


@pytest.mark.parametrize(("kind", "name"), DURATIONS_OF_TASKS)
def test_duration_may_be_seconds_or_a_timedelta(kind, name):
    for value in USABLE:
        assert getattr(made(kind, **{name: value}), name) == 5.0


@pytest.mark.parametrize(("kind", "name"), DURATIONS_OF_TASKS)
def test_unusable_duration_is_refused_by_name_before_any_request(kind, name, no_calls):
    for value in UNUSABLE:
        if type(value) is not object:
            with pytest.raises(InvalidArgument, match=rf"^{name}: expected"):
                made(kind, **{name: value})
        task = made(kind)
        setattr(task, name, value)  # like a rendered template
        with pytest.raises(InvalidArgument, match=rf"^{name}: expected"):
            task.execute({"ti": FakeTaskInstance()})


@pytest.mark.parametrize(("kind", "name"), DURATIONS_OF_TASKS)
def test_only_optional_durations_may_be_none(kind, name, no_calls):
    if name in OPTIONAL:
        made(kind, **{name: None})
    else:
        with pytest.raises(InvalidArgument, match=rf"^{name}: expected"):
            made(kind, **{name: None})


@pytest.mark.parametrize("kind", TASKS)
def test_templates_are_rendered_and_results_of_other_tasks_are_linked(kind):
    """All settings at once, as templates and as XComArgs."""
    names = [name for name in kind.setting_names() if name in kind.template_fields and name not in EXCLUSIVE]
    with DAG("dag", schedule=None, render_template_as_native_obj=True):
        upstream = BaseOperator(task_id="upstream")
        task = made(kind, **{name: XComArg(upstream, key=name) for name in names})
        templated = made_as("templated", kind, **{name: f"{{{{ x.{name} }}}}" for name in names})
    assert task.upstream_task_ids == {"upstream"}
    values = {name: VALID.get(name, "5") for name in names}
    templated.render_template_fields({"x": values, "ti": FakeTaskInstance()})
    templated.read_settings()
    for name in names:
        assert getattr(templated, name) == TASK_SETTINGS[name].read(values[name], name)


#: Settings that exclude other arguments of the same task.
EXCLUSIVE = {"display_name", "application_id"}
VALID: dict[str, Any] = {
    "on_cause": {"executor_memory": {"num_executors": 5}},
    "retry_permanent_errors": "True",
    **{name: True for name, setting in TASK_SETTINGS.items() if setting.read is boolean},
    "run_id": RUN_ID,
    "pool_id": POOL_ID,
    "sql_endpoint_id": SQL_ENDPOINT_ID,
    "compartment_id": "ocid1.compartment.oc1..a",
    "compartment_ids": ["ocid1.compartment.oc1..a"],
    "private_endpoint_guard": ["ocid1.compartment.oc1..a"],
    "target_states": ["FAILED"],
    "fetch_logs": "never",
    "if_already_running": "adopt",
    "output_format": "table",
    "application_args": ["a"],
    **{name: ["a.zip"] for name in ("archives", "files", "jars", "py_files")},
    "requirements": ["humanize==4.9.0"],
    "staging_uri": "oci://staging@ns/",
}


def made_as(task_id: str, kind: type, **arguments: Any) -> Any:
    return kind(task_id=task_id, **REQUIRED[kind.__name__] | arguments)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in TASKS
        for name in kind.setting_names()
        if TASK_SETTINGS[name].read is boolean and name not in NEVER_TEMPLATED
    ],
)
def test_switch_must_be_true_or_false(kind, name, no_calls):
    for value, read in ((True, True), ("False", False), ("true", True)):
        assert getattr(made(kind, **{name: value}), name) is read
    for value in (None, 1, "yes", "", [], 0.0, timedelta(1)):
        with pytest.raises(InvalidArgument, match=rf"^{name}: expected True or False"):
            made(kind, **{name: value})
        task = made(kind)
        setattr(task, name, value)
        with pytest.raises(InvalidArgument, match=rf"^{name}: expected True or False"):
            task.execute({"ti": FakeTaskInstance()})


@pytest.mark.parametrize("value", [1e30, "1e30", 2**31, "9223372036854775808"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in TASKS
        for name in kind.setting_names()
        if name in ("limit", "max_output_length", "statement_id")
    ],
)
def test_huge_whole_number_is_refused_by_name_before_any_request(kind, name, value, no_calls):
    with pytest.raises(InvalidArgument, match=rf"^{name}: expected \d+ to 2147483647"):
        made(kind, **{name: value})
    task = made(kind)
    setattr(task, name, value)  # like a rendered template
    with pytest.raises(InvalidArgument, match=rf"^{name}: expected \d+ to 2147483647"):
        task.execute({"ti": FakeTaskInstance()})


@pytest.mark.parametrize("value", [None, 5, [["FAILED"]], {"FAILED": 1}, "DONE", [], "", object(), [None]])
def test_odd_states_are_refused_by_name(value):
    for kind in TASKS:
        if "target_states" in argument_names(kind) and not (value is None and kind.__name__ == "RunSensor"):
            task = made(kind)
            task.target_states = value
            with pytest.raises(InvalidArgument, match=r"^target_states: expected some of"):
                task.read_settings()


def test_states_may_be_text_json_or_a_collection():
    read = choices("FAILED", "SUCCEEDED")
    for value in (
        "failed, SUCCEEDED",
        '["FAILED", "SUCCEEDED"]',
        ("FAILED", "SUCCEEDED"),
        "['FAILED', 'SUCCEEDED']",
    ):
        assert read(value, "target_states") == ["FAILED", "SUCCEEDED"]
    assert choice("always", "never")("NEVER", "fetch_logs") == "never"


# --- Triggers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), DURATIONS_OF_TRIGGERS)
def test_trigger_in_a_dag_refuses_an_unusable_duration_by_name(kind, name):
    for value in UNUSABLE:
        with pytest.raises(InvalidArgument, match=rf"^{name}: expected"):
            made(kind, **{name: value})


@pytest.mark.parametrize(("kind", "name"), DURATIONS_OF_TRIGGERS)
async def test_unusable_duration_in_a_row_is_replaced_with_a_warning(kind, name):
    for value in UNUSABLE:
        trigger = made(kind, **{name: value})
        assert getattr(trigger, name) == TRIGGER_SETTINGS[name].if_unusable > 0
        (message,) = trigger.replaced_settings
        using = rf"Using {TRIGGER_SETTINGS[name].if_unusable} instead\.$"
        assert re.match(rf"{name}: expected .* {using}", message)


@pytest.mark.parametrize("kind", TRIGGERS)
async def test_no_value_in_a_row_raises_in_the_triggerer(kind):
    """Airflow catches only a TypeError of the constructor. Any other error would end the triggerer."""
    for value in (*UNUSABLE, None, "None", Decimal("1.5"), pendulum.now(), ["x"], {"a": object()}):
        for name in set(argument_names(kind)) - {"_"}:
            trigger = made(kind, **{name: value})
            path, row = trigger.serialize()
            assert json.loads(json.dumps(row)) == row, name
            assert kind(**row).serialize() == (path, row)


@pytest.mark.parametrize("kind", TRIGGERS)
@pytest.mark.parametrize("value", USABLE, ids=repr)
def test_row_of_a_trigger_is_plain_json(kind, value):
    trigger = made(kind, **dict.fromkeys(durations_of(kind), value))
    row = trigger.serialize()[1]
    assert json.loads(json.dumps(row)) == row
    assert {row[name] for name in durations_of(kind)} == {5.0}
    assert kind(**row).serialize()[1] == row


@pytest.mark.parametrize(
    "value", [5, "5.0", Decimal(5), datetime.fromtimestamp(5, UTC), "1970-01-01T00:00:05Z"]
)
def test_deadline_may_be_seconds_since_the_epoch_or_a_datetime(value):
    assert moment(value, "deadline") == 5.0


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), "later", True, math.nan, timedelta(1), []])
def test_unusable_deadline_is_refused(value):
    with pytest.raises(InvalidArgument, match=r"^deadline: expected"):
        moment(value, "deadline")


def test_age_in_minutes_may_be_zero():
    assert minutes(0, "a") == 0
    assert minutes(timedelta(hours=1), "a") == minutes("60", "a") == minutes("1:00:00", "a") == 60
    for value in (-1, math.nan, None, True, "young"):
        with pytest.raises(InvalidArgument, match=r"^a: expected minutes"):
            minutes(value, "a")


def test_all_durations_are_read_in_the_same_way():
    for name, setting in TASK_SETTINGS.items():
        if LOOKS_LIKE_A_DURATION.search(name):
            assert setting.read is seconds or setting.read(timedelta(seconds=5), name) == 5.0


# --- After a deferral ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [kind for kind in TASKS if hasattr(kind, "execute_complete")], ids=lambda kind: kind.__name__
)
def test_unusable_duration_is_replaced_after_a_deferral(kind, connection, mocker):
    """A template that renders differently after the deferral must not lose the run."""
    task = made(kind)
    for name in durations_of(kind):
        setattr(task, name, "soon")
    complete = mocker.patch.object(type(task), "execute_complete", return_value="done", autospec=True)
    ti = FakeTaskInstance()
    assert task.resume_execution("execute_complete", {"event": {}}, {"ti": ti}) == "done"
    assert complete.called
    for name in durations_of(kind):
        assert getattr(task, name) == TASK_SETTINGS[name].if_unusable


# --- In Airflow ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not triggers_have_on_kill(), reason="start_from_trigger needs Airflow 3.3")
def test_dag_with_templates_in_all_settings_can_be_serialized():
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("dag", schedule=None) as dag:
        for kind in TASKS:
            names = [name for name in kind.setting_names() if name in kind.template_fields]
            templates = {name: f"{{{{ x.{name} }}}}" for name in names if name not in EXCLUSIVE}
            made_as(kind.__name__, kind, **templates)
        made_as(
            "row",
            TASKS_BY_NAME["InvokeRunOperator"],
            start_from_trigger=True,
            poll_interval="{{ x }}",
            error_budget=timedelta(minutes=1),
            max_duration_in_minutes=timedelta(hours=1),
        )
    data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    row = DagSerialization.from_dict(data).get_task("row").start_trigger_args
    settings = smart_decode_trigger_kwargs(row.trigger_kwargs)["settings"]
    assert settings["wait"]["poll_interval"] == "{{ x }}"
    assert settings["submit"]["error_budget"] == 60.0


def test_mapped_task_reads_its_settings_and_renders_keys():
    operator = TASKS_BY_NAME["InvokeRunOperator"]
    with DAG("dag", schedule=None) as dag:
        operator.partial(
            task_id="mapped",
            application_id=APPLICATION_ID,
            poll_interval=timedelta(seconds=5),
            error_budget="{{ x }}",
            freeform_tags={"{{ y }}": "1"},
        ).expand(arguments=[["a"], ["b"]])
    mapped: Any = dag.get_task("mapped")
    of_another_task = ["{{ y }}"]
    task = mapped.unmap({"arguments": of_another_task})
    context, environment = {"x": 60, "y": "team"}, dag.get_template_env()
    task._do_render_template_fields(task, mapped.template_fields, context, environment, {id(of_another_task)})
    task.read_settings()
    assert (task.poll_interval, task.error_budget) == (5.0, 60.0)
    assert (task.freeform_tags, task.arguments) == ({"team": "1"}, ["{{ y }}"])
    with pytest.raises(InvalidArgument, match=r"^poll_interval: expected"):
        operator.partial(task_id="odd", poll_interval=0).expand(arguments=[]).unmap({"arguments": []})


@pytest.mark.parametrize("name", ["region", "profile", "oci_conn_id", "auth_type", "config_file"])
def test_hook_arguments_must_be_text(name):
    for value in (5, "5", PurePosixPath("5")):
        assert getattr(DataFlowHook(**{name: value}), name) == "5"
    assert getattr(DataFlowHook(**{name: None}), name) is None
    for value in ({"a": 1}, object(), ["a"], timedelta(1)):
        with pytest.raises(InvalidArgument, match=rf"^{name}: expected a string"):
            DataFlowHook(**{name: value})
