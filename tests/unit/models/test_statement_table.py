"""Tables that ``DataFrame.show()`` and lists of rows print."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.models.statement_table import table_in

SHOWN = """\
+------+-----+
|origin|hours|
+------+-----+
|   EWR|  743|
| J|F K| null|
+------+-----+
"""


def records(output: str, max_characters: int = 10_000):
    table = table_in(output)
    return None if table is None else table.records(max_characters)


def test_shown_table_has_texts_and_values_may_contain_the_separator():
    expected = [{"origin": "EWR", "hours": "743"}, {"origin": "J|F K", "hours": "null"}]
    assert records(SHOWN) == expected
    assert records(f"before\n{SHOWN}only showing top 2 rows\n\nafter") == expected


def test_last_of_several_shown_tables_counts():
    other = SHOWN.replace("EWR", "LGA")
    assert records(SHOWN + other)[0]["origin"] == "LGA"


def test_shown_table_without_rows_has_no_records():
    assert records("+---+\n|id |\n+---+\n+---+\n") == []


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("[Row(a=1, b='x'), Row(a=None, b='y')]", [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]),
        ("printed\n[Row(a=1)]", [{"a": 1}]),
        ("[Row(d=datetime.date(2013, 1, 1), n=[1, 2])]", [{"d": "datetime.date(2013, 1, 1)", "n": [1, 2]}]),
        ("[Row(inner=Row(x=Decimal('1.5')))]", [{"inner": {"x": "Decimal('1.5')"}}]),
        ("[{'a': 1}, {'b': True}]", [{"a": 1, "b": None}, {"a": None, "b": True}]),
        ('[{"a": null}]', [{"a": None}]),
        (
            '[{"a": NaN, "b": [Infinity, -Infinity], "c": 1e999, "d": 1.5}]',
            [{"a": "NaN", "b": ["Infinity", "-Infinity"], "c": "1e999", "d": 1.5}],
        ),
        ("[{1: -2}]", [{"1": -2}]),
        ("[Row(x=float('nan'), y=b'z', z=nan)]", [{"x": "float('nan')", "y": "b'z'", "z": "nan"}]),
    ],
)
def test_list_of_rows(output, expected):
    assert records(output) == expected


@pytest.mark.parametrize(
    "output",
    [
        *(
            "",
            "42",
            "DataFrame[a: int]",
            "[]",
            "[1, 2]",
            "[Row(1, 2)]",
            "[{}]",
            "{'a': 1}",
            "[Row(a=1)",
            "[" * 100_000,
        ),
        "[Row(count(1)=3)]",
        SHOWN.replace("EWR|", "E\nWR|"),
        "+--+\n|a|\n+--+",
        "+---+---+\n|a  |a  |\n+---+---+\n|1  |2  |\n+---+---+",
        "[__import__('os').system('false')]",
    ],
)
def test_other_output_is_no_table(output):
    assert table_in(output) is None


def test_records_are_bounded():
    output = "[" + ", ".join(f"Row(n={n})" for n in range(1000)) + "]"
    assert records(output, 45) == [{"n": n} for n in range(5)]
    assert records(output, 0) == []
