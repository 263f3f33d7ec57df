"""Duration arguments: seconds, or a timedelta. The one definition for all operators, sensors and triggers.

A template renders to text, so the text of either is read too: ``"30"``, or ``"0:30:00"`` as Python writes a
timedelta.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.fields import number_or_none, shown, unwrapped

#: For signatures: what a duration argument takes, a template's text among it.
Duration = float | str | timedelta

#: A hundred years. Dates and event loops cannot count much further.
MAX_SECONDS = 100 * 365.25 * 24 * 3600.0

_TIMEDELTA = re.compile(
    r"(?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(\.\d+)?)"
)


def seconds(value: Any, path: str) -> float:
    """Read a duration in seconds.

    :raises InvalidArgument: it is none, not finite, not above zero, or longer than a hundred years.
    """
    found = _seconds_in(value)
    if found is None or not 0 < found < math.inf:
        raise InvalidArgument(path, f"expected seconds above zero or a timedelta, got {shown(value)}")
    return _within_limit(found, value, path)


def minutes(value: Any, path: str) -> float:
    """Read an age in minutes: a number or a timedelta, of zero or more.

    :raises InvalidArgument: it is none, not finite, below zero, or longer than a hundred years.
    """
    found = _seconds_in(value)
    if found is not None and not isinstance(_timedelta_in(value), timedelta):
        found *= 60
    if found is None or not 0 <= found < math.inf:
        raise InvalidArgument(path, f"expected minutes or a timedelta, got {shown(value)}")
    return _within_limit(found, value, path) / 60


def whole_minutes_in(value: Any) -> Any:
    """Return a timedelta as its minutes, and everything else as it is: for fields that the API counts so."""
    duration = _timedelta_in(value)
    return value if duration is None else duration.total_seconds() / 60


def moment(value: Any, path: str) -> float:
    """Read a moment: seconds since the epoch, or a datetime with its offset.

    :raises InvalidArgument: it is neither.
    """
    raw = unwrapped(value)
    if isinstance(raw, str) and number_or_none(raw) is None:
        try:
            raw = datetime.fromisoformat(raw.strip())
        except ValueError:
            raw = None
    if isinstance(raw, datetime):
        found = raw.timestamp() if raw.utcoffset() is not None else None
    else:
        found = None if isinstance(raw, date) else number_or_none(raw)
    if found is None:
        raise InvalidArgument(
            path, f"expected seconds since the epoch or a datetime with its offset, got {shown(value)}"
        )
    return found


def _timedelta_in(value: Any) -> timedelta | None:
    raw = unwrapped(value)
    if isinstance(raw, timedelta):
        return raw
    if isinstance(raw, str) and (match := _TIMEDELTA.fullmatch(raw.strip())):
        try:
            return timedelta(
                **{name: float(match[name] or 0) for name in ("days", "hours", "minutes", "seconds")}
            )
        except OverflowError:
            return None
    return None


def _seconds_in(value: Any) -> float | None:
    duration = _timedelta_in(value)
    return number_or_none(value) if duration is None else duration.total_seconds()


def _within_limit(found: float, value: Any, path: str) -> float:
    if found > MAX_SECONDS:
        raise InvalidArgument(path, f"expected a hundred years at most, got {shown(value)}")
    return found
