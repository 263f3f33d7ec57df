"""Arguments of the operators other than InvokeRunOperator: documentation, and checks at parse time."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.application import ApplicationDetails
from airflow_provider_dataflow.models.pool import PoolDetails
from airflow_provider_dataflow.operators.application import (
    ATTRIBUTES,
    CreateOrUpdateApplicationOperator,
    DeleteApplicationOperator,
)
from airflow_provider_dataflow.operators.manage_run import (
    CancelRunOperator,
    GetRunOperator,
    ListRunsOperator,
    UpdateRunOperator,
)
from airflow_provider_dataflow.operators.pool import (
    CreatePoolOperator,
    DeletePoolOperator,
    StartPoolOperator,
    StopPoolOperator,
)
from airflow_provider_dataflow.operators.statement import RunStatementOperator
from tests.unit.support import APPLICATION_ID, RUN_ID, FakeTaskInstance

RUN = {"run_id": RUN_ID}
POOL = {"pool_id": "ocid1.dataflowpool.oc1.iad.aaaa"}
OPERATORS = [
    (GetRunOperator, RUN),
    (ListRunsOperator, {}),
    (UpdateRunOperator, {**RUN, "freeform_tags": {}}),
    (CancelRunOperator, RUN),
    (CreateOrUpdateApplicationOperator, {}),
    (DeleteApplicationOperator, {"application_id": APPLICATION_ID}),
    (CreatePoolOperator, {"display_name": "warm", "configurations": []}),
    (StartPoolOperator, POOL),
    (StopPoolOperator, POOL),
    (DeletePoolOperator, POOL),
    (RunStatementOperator, {**RUN, "code": "1"}),
]
#: Inherited arguments that an operator does not offer.
NOT_OFFERED = {RunStatementOperator: {"wait_for_completion"}}


def arguments_of(operator: type) -> set[str]:
    """Return the arguments of the operator and of its bases in this package."""
    return {
        name
        for base in operator.__mro__
        if base.__module__.startswith("airflow_provider_dataflow.") and "__init__" in vars(base)
        for name in inspect.signature(base.__init__).parameters
    } - {"self", "kwargs"}


@pytest.mark.parametrize(("operator", "arguments"), OPERATORS)
def test_every_argument_is_documented_and_stored(operator, arguments):
    documented = re.findall(r":param (\w+):", operator.__doc__ or "")
    assert set(documented) == arguments_of(operator) - NOT_OFFERED.get(operator, set())
    assert len(documented) == len(set(documented))
    task = operator(task_id="task", **arguments)
    for name in documented:
        assert hasattr(task, ATTRIBUTES.get(name, name) if "Application" in operator.__name__ else name)


@pytest.mark.parametrize(("operator", "arguments"), OPERATORS)
def test_docstring_names_the_templated_arguments(operator, arguments):
    doc = operator.__doc__ or ""
    task = operator(task_id="task", **arguments)
    assert {"oci_conn_id", "region"} <= set(task.template_fields)
    assert set(task.template_fields_renderers) <= set(task.template_fields)
    if "templated, and are the fields" not in " ".join(doc.split()):
        parts = re.split(r":(?:param|raises) ", doc)[1:]
        documented = {part.split(":")[0] for part in parts if re.search(r"\btemplated\b", part)}
        assert documented == set(task.template_fields)


def test_create_operators_have_an_argument_for_every_api_field():
    names = ApplicationDetails.argument_names()
    signature = list(inspect.signature(CreateOrUpdateApplicationOperator.__init__).parameters)
    assert tuple(signature[1 : len(names) + 1]) == names
    assert set(PoolDetails.argument_names()) <= set(inspect.signature(CreatePoolOperator.__init__).parameters)


@pytest.mark.parametrize(
    ("operator", "problem"),
    [
        (
            lambda: ListRunsOperator(task_id="t", display_name="a", pool_id="{{ var.value.pool }}"),
            "display_name and pool_id: the service accepts only one filter",
        ),
        (lambda: ListRunsOperator(task_id="t", lifecycle_state="DONE"), "lifecycle_state: expected one of"),
        (lambda: ListRunsOperator(task_id="t", pool_id="warm"), "pool_id: expected an OCID"),
        (
            lambda: ListRunsOperator(task_id="t", time_created_greater_than="yesterday"),
            "time_created_greater_than: expected a time",
        ),
        (lambda: UpdateRunOperator(task_id="t", run_id=RUN_ID), "expected at least one of"),
        (lambda: DeleteApplicationOperator(task_id="t"), "application_id: .* neither was given"),
        (
            lambda: DeleteApplicationOperator(task_id="t", application_id="a", display_name="b"),
            "application_id: .* both were given",
        ),
        (lambda: CancelRunOperator(task_id="t", run_id=RUN_ID, timeout=0), "timeout: expected seconds"),
    ],
)
def test_invalid_arguments_are_refused_at_parse(operator, problem):
    with pytest.raises(InvalidArgument, match=problem):
        operator()


def test_templates_are_not_checked_at_parse():
    ListRunsOperator(task_id="t", lifecycle_state="{{ params.state }}")
    ListRunsOperator(task_id="t", time_created_greater_than="{{ data_interval_start }}")


def test_deadline_is_the_shorter_of_timeout_and_execution_timeout():
    ti = FakeTaskInstance()
    start = ti.start_date.timestamp()
    task = StartPoolOperator(task_id="t", **POOL, timeout=60, execution_timeout=timedelta(seconds=30))
    assert task._deadline({"ti": ti}) == start + 30
    task = StartPoolOperator(task_id="t", **POOL, timeout=timedelta(seconds=20))
    assert task._deadline({"ti": ti}) == start + 20
    assert RunStatementOperator(task_id="t", **RUN, code="1")._deadline({"ti": ti}) is None


def test_delete_refuses_empty_display_name(client):
    task = DeleteApplicationOperator(task_id="t", display_name="", ignore_if_missing=True)
    with pytest.raises(InvalidArgument, match="display_name: missing"):
        task.execute({"ti": FakeTaskInstance()})
