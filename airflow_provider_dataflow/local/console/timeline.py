"""Runs as SVG bars over time. In SVG, widths are attributes, so that no inline style is needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_dataflow.local.console.html import Markup, duration, join, tag
from airflow_provider_dataflow.models.run import is_terminal

# Makes very short states visible.
_MIN_WIDTH_PERCENT = 0.4
# Distance between two marks of the axis.
_STEPS_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MAX_INTERVALS = 6


@dataclass(frozen=True, slots=True)
class Span:
    """Period that a run spent in a state; times in seconds since the epoch."""

    state: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.begin)


def spans(states: Sequence[tuple[str, float, str | None]], now: float) -> list[Span]:
    """Return the periods of a run.

    :param states: state, time and details of each transition
    :param now: end of the last period; terminal states have no length
    """
    found = []
    ends = [moment for _, moment, _ in states[1:]] + [now]
    for (state, begin, _), end in zip(states, ends, strict=True):
        found.append(Span(state, begin, begin if is_terminal(state) else max(begin, end)))
    return found


@dataclass(frozen=True, slots=True)
class Scale:
    """Mapping from times to percentages of the width."""

    begin: float
    end: float

    @classmethod
    def around(cls, rows: Iterable[Sequence[Span]]) -> Scale:
        all_spans = list(itertools.chain.from_iterable(rows))
        begin = min((s.begin for s in all_spans), default=0.0)
        end = max((s.end for s in all_spans), default=0.0)
        return cls(begin, max(end, begin + 1.0))

    def percent(self, moment: float) -> float:
        return 100 * (moment - self.begin) / (self.end - self.begin)

    def marks(self) -> list[float]:
        """Return the times of the marks on the axis, at round intervals."""
        length = self.end - self.begin
        days = 86400.0 * -(-length // (86400 * _MAX_INTERVALS))
        step = next((float(s) for s in _STEPS_SECONDS if length / s <= _MAX_INTERVALS), days)
        first = -(-self.begin // step) * step
        return [first + i * step for i in range(int((self.end - first) // step) + 1)]


def bar(row: Sequence[Span], scale: Scale) -> Markup:
    """Return the bar of one run. The time in progress has the colour of the state in which the run ended."""
    outcome = row[-1].state if row else ""
    parts: list[Markup] = []
    for mark in scale.marks():
        x = f"{scale.percent(mark):.3f}%"
        parts.append(tag("line", x1=x, x2=x, y1="0", y2="100%", class_="mark"))
    for span in row:
        left = scale.percent(span.begin)
        width = max(_MIN_WIDTH_PERCENT, scale.percent(span.end) - left)
        if is_terminal(span.state) and len(row) > 1:
            continue
        colour = outcome if span.state == "IN_PROGRESS" and is_terminal(outcome) else span.state
        label = f"{span.state} {duration(span.seconds)}"
        parts.append(
            tag(
                "rect",
                tag("title", label),
                x=f"{min(left, 100 - _MIN_WIDTH_PERCENT):.3f}%",
                y="25%",
                width=f"{width:.3f}%",
                height="50%",
                rx="2",
                class_=f"bar {colour}",
            )
        )
    return tag("svg", *parts, class_="bars", role="img", aria_label=_accessible_text(row))


def axis(scale: Scale) -> Markup:
    """Return the axis with the times of the marks."""
    marks = scale.marks()
    has_seconds = len(marks) < 2 or marks[1] - marks[0] < 60
    has_days = scale.end - scale.begin > 86400
    time_format = "%m-%d %H:%M" if has_days else "%H:%M:%S" if has_seconds else "%H:%M"
    labels = []
    for mark in marks:
        percent = scale.percent(mark)
        anchor = "start" if percent < 6 else "end" if percent > 94 else "middle"
        shown = datetime.fromtimestamp(mark, UTC).strftime(time_format)
        labels.append(tag("text", shown, x=f"{percent:.3f}%", y="70%", text_anchor=anchor))
    return tag("svg", *labels, class_="axis", aria_hidden="true")


def _accessible_text(row: Sequence[Span]) -> str:
    return ", ".join(f"{s.state} {duration(s.seconds)}" for s in row)


def legend(states: Iterable[str]) -> Markup:
    keys = (
        tag("span", tag("i", class_=f"bar {s}"), s.replace("_", " ").lower(), class_="key") for s in states
    )
    return tag("p", join(keys), class_="legend")
