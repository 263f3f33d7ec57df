"""Runs as bars over time, in SVG: widths are attributes there, so that no inline style is needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_dataflow.local.console.html import Markup, duration, join, tag
from airflow_provider_dataflow.models.run import is_terminal

# What shows of a state that was over at once.
_LEAST_PERCENT = 0.4
# Between two marks of the axis.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST_MARKS = 6


@dataclass(frozen=True, slots=True)
class Span:
    """A run was in a state from then until then."""

    state: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.begin)


def spans(states: Sequence[tuple[str, float, str | None]], now: float) -> list[Span]:
    """The last one goes on until now, unless it is an end; ends have no length."""
    found = []
    ends = [moment for _, moment, _ in states[1:]] + [now]
    for (state, begin, _), end in zip(states, ends, strict=True):
        found.append(Span(state, begin, begin if is_terminal(state) else max(begin, end)))
    return found


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps a time to a percentage of the width."""

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
        length = self.end - self.begin
        days = 86400.0 * -(-length // (86400 * _MOST_MARKS))
        step = next((float(s) for s in _STEPS if length / s <= _MOST_MARKS), days)
        first = -(-self.begin // step) * step
        return [first + i * step for i in range(int((self.end - first) // step) + 1)]


def bar(row: Sequence[Span], scale: Scale) -> Markup:
    """One run. What it ended as colours all of its time in progress."""
    outcome = row[-1].state if row else ""
    parts: list[Markup] = []
    for mark in scale.marks():
        x = f"{scale.percent(mark):.3f}%"
        parts.append(tag("line", x1=x, x2=x, y1="0", y2="100%", class_="mark"))
    for span in row:
        left = scale.percent(span.begin)
        width = max(_LEAST_PERCENT, scale.percent(span.end) - left)
        if is_terminal(span.state) and len(row) > 1:
            continue
        look = outcome if span.state == "IN_PROGRESS" and is_terminal(outcome) else span.state
        label = f"{span.state} {duration(span.seconds)}"
        parts.append(
            tag(
                "rect",
                tag("title", label),
                x=f"{min(left, 100 - _LEAST_PERCENT):.3f}%",
                y="25%",
                width=f"{width:.3f}%",
                height="50%",
                rx="2",
                class_=f"bar {look}",
            )
        )
    return tag("svg", *parts, class_="bars", role="img", aria_label=_described(row))


def axis(scale: Scale) -> Markup:
    """The times below which the bars stand."""
    marks = scale.marks()
    seconds = len(marks) < 2 or marks[1] - marks[0] < 60
    days = scale.end - scale.begin > 86400
    form = "%m-%d %H:%M" if days else "%H:%M:%S" if seconds else "%H:%M"
    labels = []
    for mark in marks:
        at = scale.percent(mark)
        anchor = "start" if at < 6 else "end" if at > 94 else "middle"
        shown = datetime.fromtimestamp(mark, UTC).strftime(form)
        labels.append(tag("text", shown, x=f"{at:.3f}%", y="70%", text_anchor=anchor))
    return tag("svg", *labels, class_="axis", aria_hidden="true")


def _described(row: Sequence[Span]) -> str:
    return ", ".join(f"{s.state} {duration(s.seconds)}" for s in row)


def legend(states: Iterable[str]) -> Markup:
    keys = (
        tag("span", tag("i", class_=f"bar {s}"), s.replace("_", " ").lower(), class_="key") for s in states
    )
    return tag("p", join(keys), class_="legend")
