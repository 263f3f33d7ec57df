from __future__ import annotations

import ast
import datetime
import json
import re
from collections import namedtuple
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import numpy
import pendulum
import pytest

try:
    from airflow.sdk.serde import deserialize, serialize
except ImportError:  # before 3.2
    from airflow.serialization.serde import deserialize, serialize

from airflow_provider_dataflow.staging import function_runner
from airflow_provider_dataflow.staging.function_runner import decode, encode

UTC = datetime.UTC
PLUS = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


class Color(StrEnum):
    RED = "red"


def round_trip(value):
    return decode(json.loads(json.dumps(encode(value, "value"))))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1.5, "ü\n", [], {}, [1, [2, {"a": None}]], {"a": {"b": [1]}}),
        *({1: "a", None: 2}, {"__type__": "date", "value": 1}, {("a", 1): {"x"}}),
        *((1, "a", (2,)), {1, 2}, frozenset({"a"}), Decimal("1.10"), Decimal("1e999")),
        datetime.date(2013, 1, 31),
        datetime.datetime(2013, 1, 31, 12, 30, 1, 500),
        datetime.datetime(2013, 1, 31, tzinfo=UTC),
        datetime.timedelta(days=-1, seconds=5, microseconds=7),
    ],
)
def test_value_arrives_as_it_was(value):
    arrived = round_trip(value)
    assert arrived == value
    assert type(arrived) is type(value)
    if not (isinstance(value, dict) and any(type(key) is not str for key in value)):
        assert deserialize(serialize(arrived)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (numpy.float64(1.5), 1.5),
        (numpy.int64(3), 3),
        (numpy.array([[1, 2]]), [[1, 2]]),
        (Color.RED, "red"),
        (datetime.datetime(2013, 1, 31, 6, tzinfo=PLUS), datetime.datetime(2013, 1, 31, 0, 30, tzinfo=UTC)),
        (namedtuple("P", "x y")(1, 2), (1, 2)),
        (
            pendulum.datetime(2013, 1, 1, tz="Europe/Berlin"),
            pendulum.datetime(2013, 1, 1, tz="Europe/Berlin"),
        ),
    ],
)
def test_value_becomes_a_plain_one(value, expected):
    arrived = round_trip(value)
    assert arrived == expected
    assert type(arrived) in (float, int, list, str, tuple, datetime.datetime)


def test_row_becomes_a_dict():
    from pyspark.sql import Row

    assert round_trip([Row(month="2013-01", n=3)]) == [{"month": "2013-01", "n": 3}]


def test_value_without_encoding_is_refused_with_its_path():
    with pytest.raises(TypeError, match=r"value\['a'\]\[1\]: builtins\.object cannot be passed .* its path"):
        encode({"a": [1, object()]}, "value")


@pytest.mark.parametrize(
    "value",
    [
        numpy.datetime64("2024-01-01T00:00:00.000000000"),
        numpy.timedelta64(1, "ns"),
        numpy.array(["2024-01-01"], dtype="datetime64[ns]"),
    ],
)
def test_times_of_numpy_are_refused(value):
    with pytest.raises(TypeError, match=r"value: numpy.* cannot be passed"):
        encode(value, "value")


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, {1: "a\ud800"}, {"\ud800"}])
def test_lone_surrogates_are_refused(value):
    with pytest.raises(TypeError, match="lone surrogates"):
        encode(value, "value")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (float("nan"), "value"),
        (numpy.float64("nan"), "value"),
        (numpy.float32("inf"), "value"),
        (Decimal("NaN"), "value"),
        (Decimal("-Infinity"), "value"),
        (Decimal("sNaN"), "value"),
        ([1.5, [float("-inf")]], "value[1][0]"),
        ((1, float("nan")), "value[1]"),
        ({"mean": float("nan")}, "value['mean']"),
        ({float("inf"): 1}, "value: key inf"),
        ({float("nan")}, "value: an item"),
        (numpy.array([[1.0, float("nan")]]), "value[0][1]"),
    ],
)
def test_numbers_that_airflow_cannot_store_are_refused(value, path):
    expected = rf"^{re.escape(path)}: -?(nan|inf|s?NaN|Infinity) cannot be passed .*; use None$"
    with pytest.raises(TypeError, match=expected):
        encode(value, "value")


def test_time_that_does_not_exist_in_utc_is_refused():
    latest = datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))
    with pytest.raises(TypeError, match=r"^value: 9999-12-31 .* is outside of the years 1 to 9999 in UTC"):
        encode(latest, "value")


def test_sets_are_encoded_in_one_order():
    words = [f"word {number}" for number in range(50)]
    forward, backward = {*words, 1, None, (2, "x")}, {*words[::-1]} | {(2, "x"), None, 1}
    for kind in (set, frozenset):
        items = encode(kind(forward), "value")["value"]
        assert items == encode(kind(backward), "value")["value"] == sorted(items, key=json.dumps)
        assert round_trip(kind(forward)) == forward


def test_script_is_read_by_the_oldest_python_of_the_service():
    ast.parse(Path(function_runner.__file__).read_text(), feature_version=(3, 6))
