"""Table of docs/operators/inputs.md: what each kind of argument makes of values of each Python type.

``python -m tests.unit.arguments.inputs`` prints the table for the page.
"""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import pendulum

from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.run_request import RunRequest
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
    "cancel_on_kill": "switch",
    "type": "choice",
    "arguments": "list",
    "configuration": "dict",
    "application_id": "OCID",
    "json": "raw body",
}


def outcome(argument: str, value: Any) -> Any:
    """Return what an argument makes of a value.

    :raises InvalidArgument: the value is refused.
    """
    if argument in TASK_SETTINGS and argument not in InvokeRunOperator.body_arguments:
        return TASK_SETTINGS[argument].read(value, argument)
    if argument == "json":
        return RunRequest.build({}, value).body()
    return getattr(RunRequest.build({argument: value}), argument)


def cell(argument: str, value: Any) -> str:
    try:
        found = outcome(argument, value)
    except InvalidArgument:
        return "refused"
    return "not given" if found is None else f"`{json.dumps(found)}`"


def table(cell: Callable[[str, Any], str] = cell) -> str:
    """Return the table in Markdown."""
    head = ["Value", *(f"{kind}, as `{name}`" for name, kind in ARGUMENTS.items())]
    rows = [head, ["---"] * len(head)]
    rows += [[label, *(cell(name, value) for name in ARGUMENTS)] for label, value in INPUTS.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(table())
