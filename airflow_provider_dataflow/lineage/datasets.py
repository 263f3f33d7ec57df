"""Data sets among the arguments of a run: ``oci://`` URIs, and whether the run reads or writes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from airflow_provider_dataflow.models.run_request import PLACEHOLDER
from airflow_provider_dataflow.models.spark_submit import split
from airflow_provider_dataflow.redaction import structure_in

_URI = re.compile(r"oci://([^/\s@]+@[^/\s@]+)(/[^\s?#]*)?")
_OPTION = re.compile(r"(?:--?|(?=[A-Za-z_][\w.-]*=))([A-Za-z_][\w.-]*)(?:=(.*))?", re.DOTALL)
_WORDS = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*")
_READS = frozenset(("in", "input", "inputs", "from", "source", "sources", "src", "read", "reads"))
_WRITES = frozenset(
    (
        *("out", "output", "outputs", "to", "target", "targets", "dest", "destination", "sink"),
        *("write", "writes", "result", "results"),
    )
)


class Direction(Enum):
    """Direction of the data between a run and a data set."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class DataSet:
    """Data set in OpenLineage's terms, named as its Spark listener names it.

    :param namespace: ``oci://bucket@namespace``.
    :param name: path in the bucket, with a slash at its start and none at its end.
    """

    namespace: str
    name: str

    @classmethod
    def of(cls, uri: str) -> Self | None:
        """Return the data set of an ``oci://bucket@namespace/path`` URI; None for other text."""
        match = _URI.fullmatch(uri.strip())
        return cls(f"oci://{match[1]}", (match[2] or "").rstrip("/") or "/") if match else None


@dataclass
class RunDataSets:
    """Data sets of a run, in the order in which its arguments name them.

    :ivar others: those of which no name says if they are read or written.
    """

    inputs: dict[DataSet, None] = field(default_factory=dict)
    outputs: dict[DataSet, None] = field(default_factory=dict)
    others: dict[DataSet, None] = field(default_factory=dict)

    def add(self, value: Any, *names: str) -> None:
        """Add the data sets in the value of an argument, which may list several.

        :param names: of the argument and its parameters; the first one decides that has a known word.
        """
        if isinstance(value, Mapping):
            for name, item in value.items():
                self.add(item, str(name), *names)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                self.add(item, *names)
        elif isinstance(value, str) and (structure := structure_in(value)) is not None:
            self.add(structure, *names)
        elif isinstance(value, str):
            direction = next(filter(None, map(direction_of, names)), None)
            for part in value.split(","):
                if dataset := DataSet.of(part):
                    self._add(dataset, direction)

    def _add(self, dataset: DataSet, direction: Direction | None) -> None:
        if direction is not None:
            (self.inputs if direction is Direction.READ else self.outputs)[dataset] = None
            self.others.pop(dataset, None)
        elif dataset not in self.inputs and dataset not in self.outputs:
            self.others[dataset] = None

    def add_arguments(
        self, arguments: Sequence[str], parameters: Iterable[Mapping[str, Any]] | None = None
    ) -> None:
        """Add the data sets in the arguments of an application, with its parameters filled in."""
        values = {str(item.get("name")): str(item.get("value")) for item in parameters or ()}
        for option, word in _options(arguments):
            names = PLACEHOLDER.findall(word)
            filled = PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word)
            self.add(filled, option, *names)
        for name, value in values.items():
            self.add(value, name)


def direction_of(name: str) -> Direction | None:
    """Return what the name of an argument says, for example ``--input-path``; None if it says nothing."""
    words = {word.lower() for word in _WORDS.findall(name)}
    reads, writes = bool(words & _READS), bool(words & _WRITES)
    if reads == writes:
        return None
    return Direction.READ if reads else Direction.WRITE


def arguments_in(command_line: str) -> list[str]:
    """Return the arguments of the application in the text of ``execute``.

    The options before the main file, and the main file itself, name programs and no data.
    """
    return split(command_line)[1][1:]


def _options(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each word that is a value, with the name of its option or an empty text."""
    option = ""
    for word in arguments:
        match = _OPTION.fullmatch(word)
        if match is None or DataSet.of(word):
            yield option, word
            # Of a plural, more values may follow: "--inputs a b".
            option = option if option.lower().endswith("s") else ""
            continue
        option = match[1]
        if match[2] is not None:
            yield option, match[2]
            option = ""
