"""Every templated argument of every operator and sensor: links, early checks and masking, mapped or not."""

from __future__ import annotations

import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

import airflow_provider_dataflow.operators
import airflow_provider_dataflow.sensors
from airflow_provider_dataflow.arguments.run_arguments import RENAMED_ATTRIBUTES
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.operators import templated_task
from airflow_provider_dataflow.operators.application import (
    CreateOrUpdateApplicationOperator,
    DeleteApplicationOperator,
)
from airflow_provider_dataflow.operators.manage_run import GetRunOperator, ListRunsOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.sensors.run import RunSensor
from tests.unit.support import APPLICATION_ID, COMPARTMENT_ID, RUN_ID

TEMPLATE = "{{ params.x }}"


def task_classes() -> Iterator[type[BaseOperator]]:
    """Find the operators and sensors of the package."""
    found = {}
    for package in (airflow_provider_dataflow.operators, airflow_provider_dataflow.sensors):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for value in vars(import_module(module.name)).values():
                if (
                    inspect.isclass(value)
                    and issubclass(value, BaseOperator)
                    and value.__module__ == module.name
                    and not value.__name__.startswith("_")
                    and value.template_fields
                ):
                    found[value.__name__] = value
    yield from found.values()


def arguments_of(cls: type[BaseOperator]) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class and its bases, without those of Airflow."""
    result: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("airflow_provider_dataflow."):
            result = {**inspect.signature(base.__init__).parameters, **result}
    return {
        name: parameter
        for name, parameter in result.items()
        if name != "self" and parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def templated_of(cls: type[BaseOperator]) -> list[str]:
    """Return the arguments that are template fields, by the names of the arguments."""
    return [name for name in arguments_of(cls) if RENAMED_ATTRIBUTES.get(name, name) in cls.template_fields]


def kwargs_with(cls: type[BaseOperator], given: dict[str, Any]) -> dict[str, Any]:
    """Return ``given`` and what else the constructor wants."""
    required = {
        name: TEMPLATE for name, p in arguments_of(cls).items() if p.default is p.empty and name not in given
    }
    for further in ({}, *({name: TEMPLATE} for name in templated_of(cls) if name not in given)):
        try:
            cls(task_id="probe", **(required | further | given))
        except InvalidArgument:
            continue
        return {**required, **further, **given}
    raise AssertionError(f"{cls.__name__} is never satisfied with {given}")


CLASSES = list(task_classes())
CASES = [
    pytest.param(
        cls,
        name,
        id=f"{cls.__name__}-{name}",
        # Airflow makes no difference between them, so a release of it needs one argument of each class.
        marks=[pytest.mark.every_argument] if number else [],
    )
    for cls in CLASSES
    for number, name in enumerate(templated_of(cls))
]


def new_dag(**kwargs: Any) -> DAG:
    return DAG("dag", schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC"), **kwargs)


def round_trip(dag: DAG) -> Any:
    """Return the DAG as the scheduler reads it from the database."""
    from airflow.serialization import serialized_objects

    serialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))


def assert_linked(dag: DAG) -> None:
    assert dag.get_task("task").upstream_task_ids == {"upstream"}
    assert round_trip(dag).get_task("task").upstream_task_ids == {"upstream"}


def other_than(name: str) -> str:
    return "region" if name != "region" else "profile"


def test_all_operators_and_sensors_are_found():
    assert {InvokeRunOperator, CreateOrUpdateApplicationOperator, RunSensor} <= set(CLASSES)
    assert len(CLASSES) >= 14
    for cls in CLASSES:
        fields = {RENAMED_ATTRIBUTES.get(name, name) for name in templated_of(cls)}
        assert fields == set(cls.template_fields), f"a template field of {cls.__name__} has no argument"


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_xcomarg_links_upstream(cls, name):
    given = kwargs_with(cls, {name: TEMPLATE})
    with new_dag() as dag:
        value = EmptyOperator(task_id="upstream").output
        cls(task_id="task", **{**given, name: value})
    assert_linked(dag)


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_xcomarg_links_upstream_in_partial(cls, name):
    assert_linked(dag_with_partial(cls, name, lambda value: value))


@pytest.mark.parametrize("wrapped", [lambda x: ["--x", x], lambda x: {"x": [x]}])
@pytest.mark.parametrize("name", ["execute", "arguments"])
def test_nested_xcomarg_links_upstream_in_partial(name, wrapped):
    assert_linked(dag_with_partial(InvokeRunOperator, name, wrapped))


def dag_with_partial(cls: type[BaseOperator], name: str, wrapped: Callable[[Any], Any]) -> DAG:
    given, mapped = kwargs_with(cls, {name: TEMPLATE}), other_than(name)
    given.pop(mapped, None)
    with new_dag() as dag:
        value = EmptyOperator(task_id="upstream").output
        cls.partial(task_id="task", **{**given, name: wrapped(value)}).expand(**{mapped: ["a", "b"]})
    return dag


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_xcomarg_links_upstream_in_expand(cls, name):
    given = kwargs_with(cls, {name: TEMPLATE})
    del given[name]
    with new_dag() as dag:
        value = EmptyOperator(task_id="upstream").output
        cls.partial(task_id="task", **given).expand(**{name: value})
    assert_linked(dag)


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_xcomarg_links_upstream_in_expand_kwargs(cls, name):
    given = kwargs_with(cls, {name: TEMPLATE})
    del given[name]
    with new_dag() as dag:
        value = EmptyOperator(task_id="upstream").output
        cls.partial(task_id="task", **given).expand_kwargs([{name: value}, {name: "literal"}])
    assert_linked(dag)


@pytest.mark.parametrize("cls", CLASSES)
def test_xcomargs_of_partial_and_expand_kwargs_both_link_upstream(cls):
    name = templated_of(cls)[0]
    given = kwargs_with(cls, {name: TEMPLATE})
    with new_dag() as dag:
        value = EmptyOperator(task_id="upstream").output
        items = EmptyOperator(task_id="items").output
        cls.partial(task_id="task", **{**given, name: value}).expand_kwargs(items)
    assert dag.get_task("task").upstream_task_ids == {"upstream", "items"}


def test_links_made_by_airflow_are_not_repeated(caplog):
    with new_dag():
        value = EmptyOperator(task_id="upstream").output
        InvokeRunOperator.partial(task_id="task", application_id=value, arguments=[value]).expand(
            parameters=[{"a": "b"}]
        )
    assert "already registered" not in caplog.text


def test_argument_in_both_partial_and_expand_is_refused():
    with new_dag(), pytest.raises(TypeError, match="already specified argument: execute"):
        InvokeRunOperator.partial(task_id="task", execute="oci://b@n/a.py").expand(execute=["oci://b@n/b.py"])


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (
            lambda: InvokeRunOperator.partial(task_id="t", application_id=APPLICATION_ID, num_executors="x"),
            "num_executors: expected a number",
        ),
        (lambda: InvokeRunOperator.partial(task_id="t"), "neither was given"),
        (
            lambda: InvokeRunOperator.partial(
                task_id="t", application_id=APPLICATION_ID, spark_version="3.5.0"
            ),
            "spark_version: allowed only together with execute",
        ),
        (
            lambda: InvokeRunOperator.partial(
                task_id="t", application_id=APPLICATION_ID, fetch_logs="sometimes"
            ),
            "fetch_logs: expected one of",
        ),
        (lambda: DeleteApplicationOperator.partial(task_id="t"), "neither was given"),
        (
            lambda: ListRunsOperator.partial(task_id="t", lifecycle_state="DONE"),
            "lifecycle_state: expected one of",
        ),
        (lambda: RunSensor.partial(task_id="t", run_id=RUN_ID, fetch_logs="x"), "fetch_logs: expected one"),
    ],
)
@pytest.mark.parametrize(
    "expand",
    [
        lambda partial: partial.expand(region=["a", "b"]),
        lambda partial: partial.expand_kwargs([{"region": "a"}, {"region": "b", "profile": "c"}]),
    ],
    ids=["expand", "expand_kwargs"],
)
def test_arguments_of_partial_are_checked_at_parse(form, problem, expand):
    with new_dag():
        partial = form()
        with pytest.raises(InvalidArgument, match=problem):
            expand(partial)


def test_mapped_arguments_do_not_count_as_missing():
    with new_dag(default_args={"compartment_id": COMPARTMENT_ID}) as dag:
        names = EmptyOperator(task_id="names").output
        InvokeRunOperator.partial(task_id="a").expand(execute=["oci://b@n/a.py"])
        InvokeRunOperator.partial(task_id="b", num_executors=2).expand_kwargs(
            [{"execute": "oci://b@n/a.py"}, {"application_id": APPLICATION_ID}]
        )
        InvokeRunOperator.partial(task_id="c").expand_kwargs(names)
        InvokeRunOperator.partial(task_id="d").expand(run_id=names)
        DeleteApplicationOperator.partial(task_id="e").expand(display_name=names)
        GetRunOperator.partial(task_id="f").expand(run_id=names)
        RunSensor.partial(task_id="g").expand(run_id=[RUN_ID], target_states=[["FAILED"], ["SUCCEEDED"]])
        InvokeRunOperator.partial(task_id="h", application_id=APPLICATION_ID).expand(
            poll_interval=[1, 2], max_active_tis_per_dag=[1, 2], fetch_logs=["never", "always"]
        )
    assert len(dag.tasks) == 9
    round_trip(dag)


def test_checks_consider_default_args():
    with new_dag(default_args={"application_id": APPLICATION_ID}):
        InvokeRunOperator.partial(task_id="a").expand(parameters=[{"a": "b"}])
        with pytest.raises(InvalidArgument, match="spark_version"):
            InvokeRunOperator.partial(task_id="b", spark_version="3.5.0").expand(parameters=[{"a": "b"}])


def test_constructor_of_subclass_is_not_called_at_parse():
    calls = []

    class Nightly(InvokeRunOperator):
        def __init__(self, *, country: str, **kwargs: Any) -> None:
            calls.append(country)
            super().__init__(application_id={"DE": APPLICATION_ID}[country], **kwargs)

    with new_dag() as dag:
        value = EmptyOperator(task_id="upstream").output
        Nightly.partial(task_id="task", execute=value).expand(country=["DE"])
    assert calls == []
    assert dag.get_task("task").upstream_task_ids == {"upstream"}


def test_checks_add_no_task_to_a_setup_block():
    with new_dag() as dag:
        setup = EmptyOperator(task_id="setup").as_setup()
        teardown = EmptyOperator(task_id="teardown").as_teardown(setups=setup)
        with teardown:
            InvokeRunOperator.partial(task_id="task", application_id=APPLICATION_ID).expand(
                parameters=[{"a": "b"}]
            )
    assert set(dag.task_ids) == {"setup", "teardown", "task"}
    # Airflow itself does not link a mapped task there.
    assert dag.get_task("setup").downstream_task_ids == {"teardown"}


def test_partial_behaves_like_airflows():
    with new_dag():
        partial = InvokeRunOperator.partial(task_id="task", application_id=APPLICATION_ID)
        assert repr(partial).startswith("InvokeRunOperator.partial(task_id='task'")
        assert partial.operator_class is InvokeRunOperator
        partial.expand(parameters=[{"a": "b"}])


# --- Masking -------------------------------------------------------------------------------------------


@pytest.fixture
def masked(mocker) -> list[dict[str, Any]]:
    """Arguments of each call of ``mask_secrets``."""
    calls: list[dict[str, Any]] = []
    mocker.patch.object(templated_task, "mask_secrets", side_effect=calls.append)
    return calls


@pytest.mark.parametrize("form", ["plain", "mapped"])
@pytest.mark.parametrize(("cls", "name"), CASES)
def test_every_rendered_argument_is_masked(cls, name, form, masked):
    given = kwargs_with(cls, {name: "--token {{ x }}"})
    context: dict[str, Any] = {"x": "MARKED-91ab", "params": {"x": "y"}}
    with new_dag():
        task: Any
        if form == "plain":
            task = cls(task_id="task", **given)
            task.render_template_fields(context)
        else:
            mapped = other_than(name)
            given.pop(mapped, None)
            task = cls.partial(task_id="task", **given).expand(**{mapped: ["a"]})
            # The same call as Airflow's for a mapped task.
            unmapped = task.unmap({mapped: "a"})
            unmapped._do_render_template_fields(
                parent=unmapped,
                template_fields=task.template_fields,
                context=context,
                jinja_env=task.get_template_env(),
                seen_oids=set(),
            )
    assert masked[-1][name] == "--token MARKED-91ab"
