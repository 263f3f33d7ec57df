"""When a pool's schedules start and stop it: hours of weekdays, in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from airflow_provider_dataflow.local.http.messages import JSON

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


class Turn(StrEnum):
    START = "startTime"
    STOP = "stopTime"


def next_turn(schedules: Iterable[JSON], after: float) -> tuple[float, Turn] | None:
    """The first that comes after a moment; at the same time, a stop comes first."""
    now = datetime.fromtimestamp(after, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[tuple[float, Turn]] = []
    for schedule in schedules:
        for turn in Turn:
            day, hour = schedule.get("dayOfWeek"), schedule.get(turn)
            if day is None or hour is None:
                continue
            ahead = (DAYS.index(day) - midnight.weekday()) % 7
            moment = midnight + timedelta(days=ahead, hours=hour)
            if moment <= now:
                moment += timedelta(days=7)
            found.append((moment.timestamp(), turn))
    return min(found, key=lambda t: (t[0], t[1] == Turn.START), default=None)
