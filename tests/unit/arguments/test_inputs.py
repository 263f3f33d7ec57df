"""Values of any type are sent as the page says, or refused with the name of the argument."""

from __future__ import annotations

import json
import re
from collections import deque
from enum import Enum
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow.arguments.run_arguments import ATTRIBUTES
from airflow_provider_dataflow.arguments.task_settings import argument_names
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.operators.application import CreateOrUpdateApplicationOperator
from airflow_provider_dataflow.operators.local_code import OF_COMMAND_LINE
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from tests.unit.arguments.inputs import (
    INPUTS,
    Kind,
    Lazy,
    TextKind,
    outcome,
    table,
    table_of_all_arguments,
)
from tests.unit.support import APPLICATION_ID, RUN_ID, FakeClient, FakeTaskInstance

PAGE = Path(__file__).parents[3] / "docs" / "operators" / "inputs.md"

#: Paths of local files, which have tests of their own: a value is refused if there is no such file.
FILE_ARGUMENTS = {"application", "py_files", "files", "jars", "archives", "requirements"}

#: Arguments whose values show in the request, or in no request: not those of the connection.
INVOKE_ARGUMENTS = sorted(
    set(argument_names(InvokeRunOperator))
    - {"start_from_trigger", "deferrable", "private_endpoint_guard", *HOOK_ARGUMENTS, *FILE_ARGUMENTS}
)

#: Text that Python makes of an object without ``__str__``, an Enum member and others.
PYTHON_REPR = re.compile(r" at 0x|Kind\.|PurePosixPath|Decimal\(|b'|datetime\.|UUID\(")


def rendered(*, native: bool, x: Any = None, kind: type = InvokeRunOperator, **arguments: Any) -> Any:
    """Return a task with rendered templates.

    :param x: variable ``x`` of the templates.
    """
    with DAG("dag", render_template_as_native_obj=native, schedule=None):
        task = kind(task_id="task", **arguments)
    task.render_template_fields({"x": x, "ti": FakeTaskInstance()})
    return task


def invoke(name: str, value: Any, *, native: bool, x: Any = None) -> InvokeRunOperator:
    subject = {"application_id": APPLICATION_ID}
    if name in ("application_id", "spark_version"):
        subject = {"execute": "oci://code@ns/app.py"}
    if name in OF_COMMAND_LINE:
        subject = {"application": "oci://code@ns/app"}
    return rendered(native=native, x=x, **{"poll_interval": 0.001} | subject | {name: value})


def attribute(task: Any, name: str) -> Any:
    return getattr(task, ATTRIBUTES.get(name, name))


def test_page_has_the_tables():
    assert table() in PAGE.read_text(), "paste the output of python -m tests.unit.arguments.inputs"
    assert table_of_all_arguments() in PAGE.read_text()


@pytest.mark.parametrize("argument", INVOKE_ARGUMENTS)
def test_native_template_is_treated_like_its_value(client, argument):
    for value in INPUTS.values():
        client.submitted.clear()
        check_native(client, argument, value)


def check_native(client: FakeClient, argument: str, value: Any) -> None:
    task = invoke(argument, "{{ x }}", native=True, x=value)
    try:
        expected = outcome(argument, attribute(task, argument))
    except InvalidArgument as error:
        with pytest.raises(InvalidArgument, match=rf"^{re.escape(error.path)}: "):
            task.execute({"ti": FakeTaskInstance()})
        assert client.submitted == []
        return
    if not isinstance(value, str):
        assert expected == outcome(argument, value)
    task.execute({"ti": FakeTaskInstance()})
    sent = json.dumps(client.submitted)
    assert not PYTHON_REPR.search(sent)


@pytest.mark.parametrize("argument", INVOKE_ARGUMENTS)
def test_text_of_a_template_is_never_sent_as_a_python_repr(client, argument):
    for value in INPUTS.values():
        client.submitted.clear()
        check_text(client, argument, value)


def check_text(client: FakeClient, argument: str, value: Any) -> None:
    task = invoke(argument, "{{ x }}", native=False, x=value)
    refused = None
    try:
        task.execute({"ti": FakeTaskInstance()})
    except InvalidArgument as error:
        refused = re.split(r"\W", error.path)[0]
    assert refused in (None, argument)
    assert len(client.submitted) == (refused is None)
    sent = json.dumps([body for body, _ in client.submitted])
    # Not the other forms: the repr of a list of plain values is read as JSON, that of bytes as text.
    assert not re.search(r" at 0x|Kind\.", sent)


TEMPLATED = {
    "freeform_tags": {"{{ x }}": "v"},
    "configuration": {"spark.{{ x }}": "{{ x }}"},
    "parameters": {"{{ x }}": 1},
    "defined_tags": {"{{ x }}": {"{{ x }}": "{{ x }}"}},
    "json": {"{{ x }}": {"{{ x }}": ["{{ x }}"]}},
}
EXPECTED = {
    "freeform_tags": ("freeformTags", {"team": "v"}),
    "configuration": ("configuration", {"spark.team": "team"}),
    "parameters": ("parameters", [{"name": "team", "value": "1"}]),
    "defined_tags": ("definedTags", {"team": {"team": "team"}}),
    "json": ("team", {"team": ["team"]}),
}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("wrap", [dict, MappingProxyType])
@pytest.mark.parametrize("name", TEMPLATED)
def test_template_in_a_key_is_rendered(client, name, wrap, native):
    task = invoke(name, wrap(TEMPLATED[name]), native=native, x="team")
    task.execute({"ti": FakeTaskInstance()})
    wire_name, expected = EXPECTED[name]
    sent = client.submitted[0][0][wire_name]
    assert sent == expected or (name == "freeform_tags" and expected.items() <= sent.items())


def test_template_in_a_key_of_the_application_operator_is_rendered():
    task = rendered(
        native=False, x="team", kind=CreateOrUpdateApplicationOperator, configuration={"spark.{{ x }}": "1"}
    )
    assert task.configuration == {"spark.team": "1"}


@pytest.mark.parametrize("x", ["a", ["list"], None, {"a": 1}])
def test_equal_rendered_keys_and_unusable_keys_are_refused(x):
    with pytest.raises(InvalidArgument, match="rendered to"):
        rendered(
            native=True, x=x, application_id=APPLICATION_ID, freeform_tags={"{{ x }}": "1", "{{x}}": "2"}
        )


@pytest.mark.parametrize(
    "arguments", [[PurePosixPath("/d/{{ x }}")], deque(["/d/{{ x }}"]), ("/d/{{ x }}",), [TextKind.BATCH]]
)
def test_templates_in_less_common_containers_are_rendered(client, arguments):
    invoke("arguments", arguments, native=False, x="team").execute({"ti": FakeTaskInstance()})
    assert client.submitted[0][0]["arguments"] in (["/d/team"], ["BATCH"])


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("kind", [Kind.BATCH, TextKind.BATCH])
def test_enum_in_a_template_renders_to_its_value(client, kind, native):
    invoke("display_name", "run-{{ x }}", native=native, x=kind).execute({"ti": FakeTaskInstance()})
    assert client.submitted[0][0]["displayName"] == "run-BATCH"


def test_results_of_other_tasks_are_not_rendered(client):
    task = invoke("arguments", "{{ x }}", native=True, x=Lazy("{{ secret }}"))
    task.execute({"ti": FakeTaskInstance()})
    assert client.submitted[0][0]["arguments"] == ["{{ secret }}"]


def test_code_is_sent_unchanged():
    from airflow_provider_dataflow.models.statement import StatementDetails

    for code in ("None", "x  # <object at 0x7f>", "null"):
        assert StatementDetails.build({"code": code}).body() == {"code": code}
    assert RunStatementOperator(task_id="t", run_id=RUN_ID, code="None").code == "None"


class Number(Enum):
    ONE = 1


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"a": {"b": Number.ONE, Number.ONE: (1, 2)}}, {"a": {"b": 1, "1": [1, 2]}}),
        ({"a": None}, {}),
        ('{"displayName": "see compartmentId"}', {"displayName": "see compartmentId"}),
        ("", {}),
        ("None", {}),
        ("null", {}),
        (b'{"a": 1}', {"a": 1}),
    ],
)
def test_raw_body_becomes_plain_json(body, sent):
    assert outcome("json", body) == sent


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, "\ud800", {("a",): 1}, "<object at 0x7f>"])
def test_value_without_json_form_in_the_raw_body_is_refused_with_its_path(value):
    with pytest.raises(InvalidArgument, match=r"^json\.a"):
        outcome("json", {"a": value})
