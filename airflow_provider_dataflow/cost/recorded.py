"""Sum up the usage that tasks have recorded as XComs, per DAG and per day, with one bounded query."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.xcom_keys import USAGE

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Records that are read at most, the newest ones: half a second of work for the API server.
MAX_RECORDS = 20_000
#: Longest text of a record that is read. Ours have about 300 characters.
MAX_RECORD_CHARACTERS = 4_000
MAX_CURRENCY_CHARACTERS = 20


@dataclass
class Totals:
    """Sums over runs, and how many of these have no such value.

    :ivar at_most: number of runs with dynamic allocation, whose hours are upper bounds.
    """

    runs: int = 0
    seconds: float = 0.0
    ocpu_hours: float = 0.0
    gb_hours: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)
    unknown_ocpu: int = 0
    unknown_gb: int = 0
    unknown_cost: int = 0
    at_most: int = 0

    def add(self, usage: dict[str, Any]) -> None:
        """Add the record of a run."""
        self.runs += 1
        self.seconds += _amount(usage.get("run_seconds")) or 0.0
        self.at_most += usage.get("is_upper_bound") is True
        ocpu_hours, gb_hours = _amount(usage.get("ocpu_hours")), _amount(usage.get("gb_hours"))
        self.ocpu_hours += ocpu_hours or 0.0
        self.unknown_ocpu += ocpu_hours is None
        self.gb_hours += gb_hours or 0.0
        self.unknown_gb += gb_hours is None
        if (cost := _amount(usage.get("estimated_cost"))) is None:
            self.unknown_cost += 1
        else:
            currency = str(usage.get("currency") or "")[:MAX_CURRENCY_CHARACTERS]
            self.costs[currency] = self.costs.get(currency, 0.0) + cost


@dataclass
class Report:
    """Recorded usage of a number of days.

    :ivar by_dag: totals by DAG id.
    :ivar by_day: totals by the day (UTC) on which the runs ended, without gaps.
    :ivar is_cut: whether there are more records, which are older and not counted.
    """

    total: Totals = field(default_factory=Totals)
    by_dag: dict[str, Totals] = field(default_factory=dict)
    by_day: dict[date, Totals] = field(default_factory=dict)
    is_cut: bool = False


def report(session: Session, dag_ids: Collection[str], days: int, now: datetime | None = None) -> Report:
    """Return the usage of the last days, today included.

    :param session: of Airflow's database.
    :param dag_ids: DAGs that the user may read.
    :param now: for tests.
    """
    today = (now or datetime.now(UTC)).astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    rows = _newest(session, dag_ids, datetime(first.year, first.month, first.day, tzinfo=UTC))
    result = Report(by_day={first + timedelta(days=number): Totals() for number in range(days)})
    result.is_cut = len(rows) > MAX_RECORDS
    for dag_id, day, usage in _records(rows[:MAX_RECORDS]):
        # A clock of a worker may be ahead.
        of_day = result.by_day.get(day) or result.by_day[today]
        for totals in (result.total, result.by_dag.setdefault(dag_id, Totals()), of_day):
            totals.add(usage)
    return result


def _newest(session: Session, dag_ids: Collection[str], since: datetime) -> list[Any]:
    """Return DAG id, time and value of the newest records, one more than are counted."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import Text, cast, func, select

    # Tasks of other operators may store megabytes under the same key.
    is_short = func.length(cast(XComModel.value, Text)) <= MAX_RECORD_CHARACTERS
    query = (
        select(XComModel.dag_id, XComModel.timestamp, XComModel.value)
        .where(XComModel.key == USAGE, XComModel.timestamp >= since, XComModel.dag_id.in_(dag_ids), is_short)
        .order_by(XComModel.timestamp.desc())
        .limit(MAX_RECORDS + 1)
    )
    return list(session.execute(query)) if dag_ids else []


def _records(rows: Iterable[Any]) -> Iterator[tuple[str, date, dict[str, Any]]]:
    for dag_id, moment, value in rows:
        usage = _decoded(value)
        # Tasks of other operators may have an XCom of the same name.
        if isinstance(usage, dict) and {"run_seconds", "ocpu_hours"} <= usage.keys():
            yield dag_id, moment.astimezone(UTC).date(), usage


def _decoded(value: Any) -> Any:
    """Return the value of an XCom. Airflow stores JSON text in a column that is JSON itself.

    A value that a custom backend stores elsewhere is not read: that could take a request per run.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _amount(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and 0 <= value < 1e15 else None
