"""Directive that describes a class with its arguments in tables, grouped by purpose.

::

    .. class-reference:: airflow_provider_dataflow.operators.run.InvokeRunOperator

       What runs: application_id execute
       The wait: wait_for_completion deferrable

The descriptions are those of the docstring. An argument that is in no group, or a name that is no argument,
is a warning, which fails ``make docs``. Without groups, all arguments are in one table.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

#: Argument of a docstring, with its description up to the next field.
FIELD = re.compile(r"^:(param|raises) ([\w.]+):\s*(.*?)(?=^:\w|\Z)", re.MULTILINE | re.DOTALL)


def described_fields(doc: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return the text before the fields of a docstring, its arguments and its errors, with descriptions."""
    first = FIELD.search(doc)
    text = doc[: first.start()] if first else doc
    found: dict[str, dict[str, str]] = {"param": {}, "raises": {}}
    for kind, name, description in FIELD.findall(doc):
        found[kind][name] = " ".join(description.split())
    return text.strip(), found["param"], found["raises"]


def types_of(cls: type) -> dict[str, str]:
    """Return the types of the constructor's arguments as they are written, those of base classes included."""
    types: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if "__init__" in vars(base):
            for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
                if parameter.annotation is not parameter.empty:
                    types[name] = str(parameter.annotation)
    return types


class ClassReference(SphinxDirective):
    """See the module."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        path = self.arguments[0]
        module, _, name = path.rpartition(".")
        cls: Any = getattr(import_module(module), name)
        text, arguments, errors = described_fields(inspect.getdoc(cls) or "")
        groups = self._groups(arguments)
        lines = [f".. py:class:: {path}", ""]
        lines += [f"   {line}" for line in text.splitlines()]
        for heading, names in groups.items():
            lines += ["", f"   .. rubric:: {heading}", "", *self._table(cls, names, arguments)]
        if errors:
            lines += ["", "   .. rubric:: Errors", ""]
            lines += [f"   - :class:`~{_path_of_error(error)}`: {why}" for error, why in errors.items()]
        return self._parse(lines)

    def _groups(self, arguments: dict[str, str]) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for paragraph in "\n".join(self.content).strip().split("\n\n"):
            heading, _, names = paragraph.partition(":")
            if names:
                groups[heading] = names.split()
        if not groups:
            return {"Arguments": list(arguments)} if arguments else {}
        grouped = [name for names in groups.values() for name in names]
        if sorted(grouped) != sorted(arguments):
            raise self.error(
                f"{self.arguments[0]}: arguments in no group: {sorted(set(arguments) - set(grouped))}; "
                f"no arguments, or given twice: {sorted(set(grouped) - set(arguments))}"
            )
        return groups

    @staticmethod
    def _table(cls: type, names: list[str], arguments: dict[str, str]) -> Iterator[str]:
        types = types_of(cls)
        yield from ("   .. list-table::", "      :header-rows: 1", "      :widths: 22 22 56", "")
        yield from ("      * - Argument", "        - Type", "        - Meaning")
        for name in names:
            yield f"      * - ``{name}``"
            yield f"        - ``{types[name]}``" if name in types else "        -"
            yield f"        - {arguments[name]}"

    def _parse(self, lines: list[str]) -> list[nodes.Node]:
        parent = nodes.container()
        source = f"reference of {self.arguments[0]}"
        self.state.nested_parse(StringList(lines, source=source), self.content_offset, parent)
        return parent.children


def _path_of_error(name: str) -> str:
    errors = import_module("airflow_provider_dataflow.exceptions")
    return f"{errors.__name__}.{name}" if hasattr(errors, name) else name


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("class-reference", ClassReference)
    return {"parallel_read_safe": True}
