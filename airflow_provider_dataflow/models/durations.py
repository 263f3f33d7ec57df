"""Coercion of duration arguments of operators, sensors and triggers: seconds, or a timedelta.

Templates render both to text, so ``"30"`` and ``"0:30:00"``, the text of a timedelta, are accepted as well.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import number_or_none, redacted_repr, unwrap

#: Type of a duration argument in signatures; ``str`` because it may be a template.
Duration = float | str | timedelta

#: A hundred years. Dates and event loops fail on much longer durations.
MAX_SECONDS = 100 * 365.25 * 24 * 3600.0

_TIMEDELTA_TEXT = re.compile(
    r"(?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(\.\d+)?)"
)


def seconds(value: Any, path: str) -> float:
    """Coerce a duration to seconds.

    :raises InvalidArgument: the value is not a duration, not finite, not above zero, or longer than a
        hundred years.
    """
    found = _seconds_or_none(value)
    if found is None or not 0 < found < math.inf:
        raise InvalidArgument(path, f"expected seconds above zero or a timedelta, got {redacted_repr(value)}")
    return _within_limit(found, value, path)


def minutes(value: Any, path: str) -> float:
    """Coerce an age to minutes, from a number of minutes or a timedelta; zero is allowed.

    :raises InvalidArgument: the value is not a duration, not finite, below zero, or longer than a hundred
        years.
    """
    found = _seconds_or_none(value)
    if found is not None and _timedelta_or_none(value) is None:
        found *= 60
    if found is None or not 0 <= found < math.inf:
        raise InvalidArgument(path, f"expected minutes or a timedelta, got {redacted_repr(value)}")
    return _within_limit(found, value, path) / 60


def timedelta_to_minutes(value: Any) -> Any:
    """Return the minutes of a timedelta, and other values unchanged."""
    duration = _timedelta_or_none(value)
    return value if duration is None else duration.total_seconds() / 60


def moment(value: Any, path: str) -> float:
    """Coerce a point in time to seconds since the epoch, from such a number or an aware datetime.

    :raises InvalidArgument: the value is neither.
    """
    raw = unwrap(value)
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
            path,
            f"expected seconds since the epoch or a datetime with its offset, got {redacted_repr(value)}",
        )
    return found


def _timedelta_or_none(value: Any) -> timedelta | None:
    raw = unwrap(value)
    if isinstance(raw, timedelta):
        return raw
    if isinstance(raw, str) and (match := _TIMEDELTA_TEXT.fullmatch(raw.strip())):
        try:
            return timedelta(
                **{name: float(match[name] or 0) for name in ("days", "hours", "minutes", "seconds")}
            )
        except OverflowError:
            return None
    return None


def _seconds_or_none(value: Any) -> float | None:
    duration = _timedelta_or_none(value)
    return number_or_none(value) if duration is None else duration.total_seconds()


def _within_limit(found: float, value: Any, path: str) -> float:
    if found > MAX_SECONDS:
        raise InvalidArgument(path, f"expected a hundred years at most, got {redacted_repr(value)}")
    return found
