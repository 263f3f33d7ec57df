from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from airflow.models import import_all_models
from airflow.models.xcom import XComModel
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session

from airflow_provider_dataflow.cost import recorded
from airflow_provider_dataflow.cost.recorded import MAX_RECORD_CHARACTERS, report

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
USAGE = {
    "run_seconds": 1800.0,
    "ocpu_hours": 2.5,
    "gb_hours": 40.0,
    "is_upper_bound": False,
    "estimated_cost": 0.5,
    "currency": "EUR",
}
EVERY = {"weather", "sales", "secret"}


@pytest.fixture
def session():
    # Tables that the foreign key names.
    import_all_models()
    engine = create_engine("sqlite://")
    # Without foreign keys, so that no task instances are needed.
    XComModel.__table__.create(engine)
    with Session(engine) as session:
        yield session


@pytest.fixture
def record(session):
    numbers = iter(range(100_000))

    def store(
        value: Any, dag_id: str = "weather", when: datetime = NOW, key: str = "usage", text: bool = True
    ) -> None:
        session.execute(
            insert(XComModel).values(
                dag_run_id=next(numbers),
                task_id="run",
                map_index=-1,
                key=key,
                dag_id=dag_id,
                run_id="manual",
                value=json.dumps(value) if text else value,
                timestamp=when,
            )
        )

    return store


def test_totals_per_dag_and_day(session, record):
    record(USAGE)
    record({**USAGE, "estimated_cost": 1.5}, when=NOW - timedelta(days=1))
    record({**USAGE, "ocpu_hours": 1.0}, "sales", NOW - timedelta(days=6))
    found = report(session, EVERY, 7, NOW)
    assert (found.total.runs, found.total.seconds) == (3, 5400.0)
    assert (found.total.ocpu_hours, found.total.gb_hours, found.total.costs) == (6.0, 120.0, {"EUR": 2.5})
    assert {name: (t.runs, t.ocpu_hours) for name, t in found.by_dag.items()} == {
        "weather": (2, 5.0),
        "sales": (1, 1.0),
    }
    assert list(found.by_day) == [date(2026, 3, day) for day in range(4, 11)]
    assert {day.day: t.runs for day, t in found.by_day.items() if t.runs} == {4: 1, 9: 1, 10: 1}
    assert not found.is_cut


def test_period_begins_with_a_day_in_utc(session, record):
    record(USAGE, when=datetime(2026, 3, 4, 0, 0, tzinfo=UTC))
    record(USAGE, when=datetime(2026, 3, 3, 23, 59, 59, tzinfo=UTC))
    # The clock of a worker is ahead.
    record(USAGE, when=datetime(2026, 3, 11, 0, 1, tzinfo=UTC))
    found = report(session, EVERY, 7, NOW)
    assert {day.day: t.runs for day, t in found.by_day.items() if t.runs} == {4: 1, 10: 1}


def test_only_readable_dags_are_counted(session, record):
    record(USAGE)
    record(USAGE, "secret")
    found = report(session, {"weather", "sales"}, 7, NOW)
    assert found.by_dag.keys() == {"weather"}
    assert found.total.runs == 1
    assert report(session, set(), 7, NOW).total.runs == 0


def test_values_that_are_not_known_are_counted(session, record):
    record({**USAGE, "gb_hours": None, "estimated_cost": None, "currency": None})
    record({**USAGE, "ocpu_hours": None, "is_upper_bound": True})
    # A record of an earlier version.
    record({"queue_seconds": 1.0, "run_seconds": 60.0, "ocpu_hours": 1.0})
    record({**USAGE, "currency": "USD"})
    total = report(session, EVERY, 7, NOW).total
    assert (total.runs, total.at_most) == (4, 1)
    assert (total.unknown_ocpu, total.unknown_gb, total.unknown_cost) == (1, 2, 2)
    assert total.costs == {"EUR": 0.5, "USD": 0.5}


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        "text",
        [USAGE],
        {"total_tokens": 5},
        "[" * 3_000,
        "{" + " " * MAX_RECORD_CHARACTERS + "}",
        json.dumps({**USAGE, "x": "y" * MAX_RECORD_CHARACTERS}),
    ],
    ids=["null", "number", "text", "list", "other fields", "nested", "blanks", "long"],
)
def test_xcoms_of_others_are_left_out(session, record, value):
    record(value)
    record(value, text=False)
    record(USAGE, key="another")
    assert report(session, EVERY, 7, NOW).total.runs == 0


@pytest.mark.parametrize("value", ["1", True, -1, float("nan"), float("inf"), 1e300, [], {}])
def test_hostile_numbers_count_as_not_known(session, record, value):
    names = ("run_seconds", "ocpu_hours", "gb_hours", "estimated_cost")
    record({**USAGE, **dict.fromkeys(names, value), "currency": "<" * 1000})
    total = report(session, EVERY, 7, NOW).total
    assert (total.runs, total.seconds, total.ocpu_hours, total.gb_hours, total.costs) == (1, 0, 0, 0, {})


def test_value_that_is_json_itself_is_read(session, record):
    record(USAGE, text=False)
    assert report(session, EVERY, 7, NOW).total.runs == 1


def test_newest_records_are_counted_up_to_the_limit(session, record, monkeypatch):
    monkeypatch.setattr(recorded, "MAX_RECORDS", 3)
    for number in range(4):
        record({**USAGE, "ocpu_hours": float(number)}, when=NOW - timedelta(hours=number))
    found = report(session, EVERY, 7, NOW)
    assert found.is_cut
    assert (found.total.runs, found.total.ocpu_hours) == (3, 0.0 + 1.0 + 2.0)
