"""Tables in the output of statements: what ``DataFrame.show()`` prints, and lists of rows."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_BORDER = re.compile(r"\+(?:-+\+)+")


@dataclass(frozen=True, slots=True)
class StatementTable:
    """Table in the output of a statement.

    :param columns: names of the columns.
    :param rows: values in the order of the columns. Texts, if ``show()`` printed the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self, max_characters: int) -> list[dict[str, Any]]:
        """Return the first rows as dicts. As JSON, they have at most ``max_characters``."""
        found: list[dict[str, Any]] = []
        left = max_characters
        for row in self.rows:
            record = dict(zip(self.columns, row, strict=True))
            left -= len(json.dumps(record))
            if left < 0:
                break
            found.append(record)
        return found


def table_in(output: str) -> StatementTable | None:
    """Return the last table in the output of a statement; ``None`` if there is none.

    It is a table that ``DataFrame.show()`` prints, or the value of the last expression: a list of Row,
    for example of ``DataFrame.collect()``, or of dicts, as Python or JSON.
    """
    return _shown_table(output.splitlines()) or _list_of_rows(output)


def _shown_table(lines: Sequence[str]) -> StatementTable | None:
    borders = [number for number, line in enumerate(lines) if _BORDER.fullmatch(line.strip())]
    if len(borders) < 3:
        return None
    top, below_head, bottom = borders[-3:]
    if below_head != top + 2:
        return None
    # The borders have the widths of the columns, since a value may contain the separator.
    border = lines[top].strip()
    edges = [position for position, character in enumerate(border) if character == "+"]

    def cells(line: str) -> tuple[str, ...]:
        text = line.strip()
        return tuple(text[left + 1 : right].strip() for left, right in pairwise(edges))

    rows = lines[below_head + 1 : bottom]
    if any(len(line.strip()) != len(border) for line in (lines[top + 1], *rows)):
        return None  # a value has line breaks, or wide characters
    return _table(cells(lines[top + 1]), [cells(row) for row in rows])


def _list_of_rows(output: str) -> StatementTable | None:
    text = output.strip()
    # Printed lines may come before the value of the last expression.
    for candidate in (text, text.rpartition("\n")[2]):
        records = _records(candidate)
        if records:
            columns = tuple(dict.fromkeys(name for record in records for name in record))
            return _table(columns, [tuple(record.get(name) for name in columns) for record in records])
    return None


def _records(text: str) -> list[dict[str, Any]] | None:
    if not text.startswith("["):
        return None
    try:
        # XCom cannot store NaN and Infinity, which json reads and writes although JSON does not have them.
        found = json.loads(text, parse_constant=str, parse_float=_float_or_text)
    except RecursionError:
        return None
    except ValueError:
        try:
            expression = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None
        found = _value(expression)
    if not isinstance(found, list) or not all(isinstance(item, dict) and item for item in found):
        return None
    return [{str(name): value for name, value in item.items()} for item in found]


def _float_or_text(text: str) -> float | str:
    """Return a number of JSON, as text if it is larger than any float."""
    value = float(text)
    return value if math.isfinite(value) else text


def _value(node: ast.expr) -> Any:
    """Return the value of a literal, a Row as a dict, and the text of any other expression."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Row":
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_key(key): _value(value) for key, value in pairs if key is not None}
    try:
        value = ast.literal_eval(node)
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return ast.unparse(node)
    return value


def _key(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _table(columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> StatementTable | None:
    names = tuple(columns)
    # Columns of equal names would get lost in a dict.
    return StatementTable(names, tuple(rows)) if len(set(names)) == len(names) else None
