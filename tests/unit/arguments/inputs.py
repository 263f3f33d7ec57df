"""Tables of docs/operators/inputs.md: what arguments make of values of each Python type.

One table has a column for each kind of argument, the other a row for each argument, with its kind.
``python -m tests.unit.arguments.inputs`` prints both for the page.
"""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import pendulum

from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS, TRIGGER_SETTINGS
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.application import ApplicationDetails
from airflow_provider_dataflow.models.coercion import Coercion, optional
from airflow_provider_dataflow.models.pool import PoolDetails
from airflow_provider_dataflow.models.request_body import RequestBody
from airflow_provider_dataflow.models.run_request import RunRequest, RunUpdate
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpointDetails
from airflow_provider_dataflow.models.statement import StatementDetails
from airflow_provider_dataflow.operators.manage_run import FILTERS
from airflow_provider_dataflow.operators.run import InvokeRunOperator

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Kind(Enum):
    """Enum of a user, without a mixin."""

    BATCH = "BATCH"


class TextKind(str, Enum):  # noqa: UP042 - its str() is not its value
    BATCH = "BATCH"


class Lazy(Sequence):
    """Sequence that is neither list nor tuple, like Airflow's results of a mapped task."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]


#: Values by their names on the page.
INPUTS: dict[str, Any] = {
    "`'2'`": "2",
    "`2`": 2,
    "`1.5`": 1.5,
    "`nan`": float("nan"),
    "`True`": True,
    "`'True'`": "True",
    "`None`, `'None'`": None,
    "`Decimal('2.50')`": Decimal("2.50"),
    "datetime": TIME,
    "`pendulum.DateTime`": pendulum.instance(TIME),
    "date": date(2026, 1, 2),
    "`timedelta(minutes=2)`": timedelta(minutes=2),
    "`'0:02:00'`": "0:02:00",
    "Enum of `'BATCH'`": Kind.BATCH,
    "`class E(str, Enum)`": TextKind.BATCH,
    "Path": PurePosixPath("/data/x"),
    "UUID": uuid.UUID(int=1),
    "bytes": b"abc",
    "`['a', 1]`": ["a", 1],
    "`('a', 1)`": ("a", 1),
    "`{'a'}`": {"a"},
    "lazy sequence": Lazy("a", 1),
    "`{'a': 1}`": {"a": 1},
    "other Mapping": MappingProxyType(OrderedDict(a=1)),
    "JSON text, list": '["a", 1]',
    "JSON text, dict": '{"a": 1}',
    "Python's text, list": "['a', 1]",
    "Python's text, dict": "{'a': 1}",
    "other object": object(),
}

#: Kinds of arguments, each represented by one argument.
ARGUMENTS = {
    "display_name": "text",
    "num_executors": "number",
    "poll_interval": "duration",
    "max_duration_in_minutes": "minutes",
    "min_age_in_minutes": "minutes or part of them",
    "deadline": "moment",
    "time_created_greater_than": "time",
    "cancel_on_kill": "switch",
    "type": "run type",
    "arguments": "list",
    "py_files": "files",
    "requirements": "requirements",
    "configuration": "dict",
    "parameters": "parameters",
    "application_id": "own form",
    "json": "raw body",
}

#: Request whose fields are arguments of an operator, and its marker in the table of all arguments.
REQUESTS: dict[type[RequestBody], str] = {
    RunRequest: "",
    RunUpdate: "",
    ApplicationDetails: "",
    PoolDetails: " of a pool",
    SqlEndpointDetails: " of a SQL endpoint",
    StatementDetails: "",
}

_OCID = "ocid1.{}.oc1.iad.aaaa"
_SHAPE = {"ocpus": 1, "memory_in_gbs": "16"}
#: A value that an argument accepts, where that of its kind does not show its form.
EXAMPLES: dict[str, Any] = {
    "application_id": _OCID.format("dataflowapplication"),
    "application_log_config": {"log_group_id": _OCID.format("loggroup"), "log_id": _OCID.format("log")},
    "application": "jobs/app.py",
    "archive_uri": "oci://code@ns/archive.zip",
    "compartment_id": _OCID.format("compartment"),
    "compartment_ids": f"{_OCID.format('compartment')}, {_OCID.format('tenancy')}",
    "configurations": [{"shape": "VM.Standard.E4.Flex", "min": 1, "max": "2", "shape_config": _SHAPE}],
    "defined_tags": {"Finance": {"CostCenter": 42}},
    "driver_shape_config": _SHAPE,
    "executor_shape_config": _SHAPE,
    "fetch_logs": "always",
    "if_already_running": "adopt",
    "file_uri": "oci://code@ns/app.py",
    "language": "python",
    "lifecycle_state": "succeeded",
    "log_compartment_id": _OCID.format("compartment"),
    "log_group_id": _OCID.format("loggroup"),
    "logs_bucket_uri": "oci://logs@ns/",
    "metastore_id": _OCID.format("datacatalogmetastore"),
    "network_configuration": {
        "network_type": "secure_access",
        "access_control_rules": [{"ip_notation": "cidr", "value": "10.0.0.0/16"}],
    },
    "on_cause": {"executor_memory": {"executor_shape_config": {"memory_in_gbs": "64"}}},
    "output_format": "TABLE",
    "pool_id": _OCID.format("dataflowpool"),
    "private_endpoint_guard": [_OCID.format("compartment")],
    "private_endpoint_id": _OCID.format("dataflowprivateendpoint"),
    "run_id": _OCID.format("dataflowrun"),
    "schedules": [{"day_of_week": "monday", "start_time": 6, "stop_time": "20"}],
    "sql_endpoint_id": _OCID.format("dataflowsqlendpoint"),
    "staging_uri": "oci://staging@ns/airflow",
    "states": "succeeded,FAILED",
    "target_states": "succeeded,FAILED",
    "warehouse_bucket_uri": "oci://warehouse@ns/",
}
EXAMPLES_OF_KINDS = {
    "text": "a",
    "number": "2",
    "duration": timedelta(minutes=2),
    "minutes": timedelta(minutes=2),
    "minutes or part of them": timedelta(seconds=90),
    "moment": TIME,
    "time": "2026-01-02T03:04:05Z",
    "switch": "True",
    "run type": "batch",
    "list": ["a", 1],
    "files": "helpers, oci://code@ns/lib.zip",
    "requirements": "requirements.txt",
    "dict": {"a": 1},
    "parameters": {"a": 1},
    "raw body": {"a": 1},
}
#: Tried in this order, to show what an argument expects.
UNUSABLE = ("?", object())


class Argument(NamedTuple):
    """One argument of an operator, a sensor or a trigger.

    :param label: its name on the page.
    """

    name: str
    label: str
    read: Coercion

    @property
    def kind(self) -> str:
        """Kind of argument whose column is that of this argument.

        :raises LookupError: none. The page needs a column more.
        """
        for representative, kind in ARGUMENTS.items():
            if all(
                result(self.read, self.name, value) == cell(representative, value)
                for value in INPUTS.values()
                if value is not None  # has a column of its own in the table of all arguments
            ):
                return kind
        raise LookupError(self.label)


def field_reader(request: type[RequestBody], name: str) -> Coercion:
    return lambda value, path: getattr(request.build({name: value}), name)


def all_arguments() -> Iterator[Argument]:
    for request, of_request in REQUESTS.items():
        for name in request.argument_names():
            yield Argument(name, f"`{name}`{of_request}", field_reader(request, name))
    yield Argument("json", "`json`", lambda value, path: outcome("json", value))
    for name, read in FILTERS.items():
        yield Argument(name, f"`{name}`", optional(read))
    fields = set(RunRequest.argument_names())
    for name, setting in TASK_SETTINGS.items():
        if name not in fields:
            yield Argument(name, f"`{name}`", setting.read)
    for name, setting in TRIGGER_SETTINGS.items():
        # The page says in a sentence that target_states of a trigger accepts any word.
        if setting.read != TASK_SETTINGS[name].read and name != "target_states":
            yield Argument(name, f"`{name}` of a trigger", setting.read)


def outcome(argument: str, value: Any) -> Any:
    """Return what an argument of :class:`InvokeRunOperator`, a setting or a filter makes of a value.

    :raises InvalidArgument: the value is refused.
    """
    if argument == "time_created_greater_than":
        return optional(FILTERS[argument])(value, argument)
    if argument in TASK_SETTINGS and argument not in InvokeRunOperator.body_arguments:
        return TASK_SETTINGS[argument].read(value, argument)
    if argument == "json":
        return RunRequest.build({}, value).body()
    return getattr(RunRequest.build({argument: value}), argument)


def result(read: Coercion, name: str, value: Any) -> str:
    try:
        found = read(value, name)
    except InvalidArgument:
        return "refused"
    return "not given" if found is None else f"`{json.dumps(found)}`"


def cell(argument: str, value: Any) -> str:
    return result(lambda value, path: outcome(argument, value), argument, value)


def expectation(argument: Argument) -> str:
    """Return the end of the message with which an argument refuses a value, without the value."""
    for value in UNUSABLE:
        try:
            argument.read(value, argument.name)
        except InvalidArgument as error:
            return error.problem.partition(", got ")[0].removeprefix("expected ")
    raise LookupError(f"{argument.label} accepts everything")


def markdown(*rows: Sequence[str]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def table(cell: Callable[[str, Any], str] = cell) -> str:
    """Return the table of the kinds in Markdown."""
    return markdown(
        ["Value", *(f"{kind}, as `{name}`" for name, kind in ARGUMENTS.items())],
        *([label, *(cell(name, value) for name in ARGUMENTS)] for label, value in INPUTS.items()),
    )


def table_of_all_arguments() -> str:
    """Return the table of all arguments in Markdown, with equal rows combined."""
    rows: defaultdict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
    for argument in all_arguments():
        example = EXAMPLES.get(argument.name, EXAMPLES_OF_KINDS.get(argument.kind))
        row = (
            argument.kind,
            f"`{example!r}`",
            result(argument.read, argument.name, example),
            result(argument.read, argument.name, None),
            expectation(argument),
        )
        rows[row][argument.label] = None
    return markdown(
        ["Arguments", "Kind", "For example", "becomes", "None is", "Other values: expected"],
        *([", ".join(labels), *row] for row, labels in rows.items()),
    )


if __name__ == "__main__":
    print(table(), table_of_all_arguments(), sep="\n\n")
