"""Schedules that start and stop a pool at hours of weekdays, in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from airflow_provider_dataflow.local.http.messages import JSON

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


class ScheduledAction(StrEnum):
    """Start or stop of a pool; the value is the field of the schedule that has its hour."""

    START = "startTime"
    STOP = "stopTime"


def next_action(schedules: Iterable[JSON], after: float) -> tuple[float, ScheduledAction] | None:
    """Return the first action after a moment. Of two at the same time, the stop comes first."""
    now = datetime.fromtimestamp(after, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[tuple[float, ScheduledAction]] = []
    for schedule in schedules:
        for action in ScheduledAction:
            day, hour = schedule.get("dayOfWeek"), schedule.get(action)
            if day is None or hour is None:
                continue
            days_ahead = (DAYS.index(day) - midnight.weekday()) % 7
            moment = midnight + timedelta(days=days_ahead, hours=hour)
            if moment <= now:
                moment += timedelta(days=7)
            found.append((moment.timestamp(), action))
    return min(found, key=lambda item: (item[0], item[1] == ScheduledAction.START), default=None)
