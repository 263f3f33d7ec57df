"""Draws Mermaid's sequence diagrams as SVG in the page, without a script and without network access.

Blocks with the language ``mermaid`` are drawn; GitHub draws them, too. They may have participants, messages
and notes, one a line::

    sequenceDiagram
        participant W as worker
        participant D as Data Flow
        W->>D: CreateRun
        D-->>W: OCID
        W-xD: a message that does not arrive
        Note over W,D: text beside the lines

Anything else is a warning, which fails ``make docs``. Lines and text have the color of the text around them,
so that they can be read in the light and the dark theme.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

FONT_SIZE = 14
#: Wider than the average character of the fonts that browsers have, so that no text leaves its place.
CHARACTER_WIDTH = 7.4
LINE_HEIGHT = 18
PADDING = 10
#: Messages and notes are wrapped at this length.
MAX_CHARACTERS = 26
MIN_DISTANCE = 130
LOOP_WIDTH = 28

PARTICIPANT = re.compile(r"participant (\w+)(?: as (.+))?$")
MESSAGE = re.compile(r"(\w+)(-->>|->>|--x|-x)(\w+): *(.+)$")
NOTE = re.compile(r"Note over (\w+)(?:, *(\w+))?: *(.+)$")


@dataclass(frozen=True)
class Message:
    """Arrow from one participant to another, or to itself.

    :param source: number of the participant, from the left.
    :param target: number of the participant.
    :param lines: text, wrapped.
    :param is_dashed: for a response.
    :param is_lost: for a message that does not arrive.
    """

    source: int
    target: int
    lines: list[str]
    is_dashed: bool
    is_lost: bool


@dataclass(frozen=True)
class Note:
    """Box with text over one participant, or from the first to the last of several."""

    first: int
    last: int
    lines: list[str]


@dataclass
class Diagram:
    """Names of the participants, and messages and notes from top to bottom."""

    names: list[str] = field(default_factory=list)
    steps: list[Message | Note] = field(default_factory=list)


def parse(source: str) -> Diagram:
    """Return the diagram that a text describes.

    :raises ValueError: for a line that is not understood; names the line.
    """
    diagram, keys = Diagram(), list[str]()
    first, *lines = [stripped for line in source.splitlines() if (stripped := line.strip())] or [""]
    if first != "sequenceDiagram":
        raise ValueError(f"{first!r}: expected sequenceDiagram")
    for line in lines:
        # Mermaid ends a statement at a semicolon, and reads a number after # as a character.
        if ";" in line or "#" in line:
            raise ValueError(f"{line!r}: ; and # are not allowed")
        try:
            if match := PARTICIPANT.match(line):
                keys.append(match[1])
                diagram.names.append(match[2] or match[1])
            elif match := MESSAGE.match(line):
                ends = keys.index(match[1]), keys.index(match[3])
                arrow = match[2]
                diagram.steps.append(
                    Message(*ends, _wrap(match[4]), arrow.startswith("--"), arrow.endswith("x"))
                )
            elif match := NOTE.match(line):
                over = sorted((keys.index(match[1]), keys.index(match[2] or match[1])))
                diagram.steps.append(Note(over[0], over[1], _wrap(match[3])))
            else:
                raise ValueError("expected a participant, a message or a note")
        except ValueError as e:
            raise ValueError(f"{line!r}: {e}") from None
    return diagram


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, MAX_CHARACTERS)


def _width(lines: list[str]) -> float:
    return max(len(line) for line in lines) * CHARACTER_WIDTH + 2 * PADDING


def positions(diagram: Diagram) -> tuple[list[float], float]:
    """Return where the participants' lines are, and the width of the diagram."""
    names = [_width([name]) for name in diagram.names]
    distances = [max(MIN_DISTANCE, (a + b) / 2 + PADDING) for a, b in pairwise(names)]
    left, right = names[0] / 2, names[-1] / 2
    for step in diagram.steps:
        width = _width(step.lines)
        if isinstance(step, Message) and step.source == step.target:
            # Its text is at the right of the line.
            first, needed = step.source, width + LOOP_WIDTH
            if first == len(distances):
                right = max(right, needed)
            else:
                distances[first] = max(distances[first], needed)
            continue
        if isinstance(step, Message):
            first, last = sorted((step.source, step.target))
        else:
            first, last = step.first, step.last
        if first == last:
            left = max(left, width / 2) if first == 0 else left
            right = max(right, width / 2) if last == len(distances) else right
            for i in (first - 1, first):
                if 0 <= i < len(distances):
                    distances[i] = max(distances[i], width / 2 + PADDING)
        else:
            missing = width + PADDING - sum(distances[first:last])
            for i in range(first, last):
                distances[i] += max(0, missing) / (last - first)
    xs = [left + 1]
    for distance in distances:
        xs.append(xs[-1] + distance)
    return xs, xs[-1] + right + 1


def render(diagram: Diagram) -> str:
    """Return the diagram as an SVG element in a box that scrolls if the page is narrower."""
    xs, width = positions(diagram)
    top = LINE_HEIGHT + 2 * PADDING
    parts: list[str] = []
    for x, name in zip(xs, diagram.names, strict=True):
        parts.append(_box(x, _width([name]), 0, [name], "participant"))
    y: float = top + PADDING
    for step in diagram.steps:
        height = len(step.lines) * LINE_HEIGHT
        if isinstance(step, Note):
            span = max(xs[step.last] - xs[step.first] + 2 * PADDING, _width(step.lines))
            parts.append(_box((xs[step.first] + xs[step.last]) / 2, span, y, step.lines, "note"))
            y += height + 3 * PADDING
        else:
            parts.append(_arrow(step, xs, y, height))
            y += height + 2 * PADDING
    lines = "".join(f'<path class="life" d="M{x:g} {top}V{y:g}"/>' for x in xs)
    label = escape(f"Sequence diagram of {', '.join(diagram.names)}")
    return (
        f'<div class="diagram" tabindex="0" role="group" aria-label="{label}">'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{y + 1:.0f}" '
        f'viewBox="0 0 {width:.0f} {y + 1:.0f}" font-size="{FONT_SIZE}">{lines}{"".join(parts)}</svg></div>'
    )


def _text(lines: list[str], x: float, y: float, anchor: str) -> str:
    return "".join(
        f'<text x="{x:g}" y="{y + i * LINE_HEIGHT:g}" text-anchor="{anchor}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )


def _box(x: float, width: float, y: float, lines: list[str], kind: str) -> str:
    """Return a box with text in its middle, which is at ``x``."""
    height = len(lines) * LINE_HEIGHT + 2 * PADDING - 4
    size = f'width="{width:g}" height="{height}"'
    rectangle = f'<rect class="{kind}" x="{x - width / 2:g}" y="{y + 1:g}" {size} rx="3"/>'
    return rectangle + _text(lines, x, y + LINE_HEIGHT + PADDING - 5, "middle")


def _arrow(message: Message, xs: list[float], y: float, height: float) -> str:
    """Return an arrow below its text, or beside it if it returns to its participant."""
    start, end = xs[message.source], xs[message.target]
    kind = "response" if message.is_dashed else "message"
    if start == end:
        middle = y + max(height, LINE_HEIGHT) - 4
        line = f"M{start:g} {y + 6:g}h{LOOP_WIDTH - 8}V{middle:g}H{start + 1:g}"
        text = _text(message.lines, start + LOOP_WIDTH, y + LINE_HEIGHT - 4, "start")
        return text + f'<path class="{kind}" d="{line}"/>' + _head(start, middle, -1, message.is_lost)
    bottom = y + height + 4
    direction = 1 if end > start else -1
    line = f"M{start:g} {bottom:g}H{end - direction:g}"
    text = _text(message.lines, (start + end) / 2, y + LINE_HEIGHT - 5, "middle")
    return text + f'<path class="{kind}" d="{line}"/>' + _head(end, bottom, direction, message.is_lost)


def _head(x: float, y: float, direction: int, is_lost: bool) -> str:
    """Return the head of an arrow, or the cross at the end of a message that does not arrive."""
    if is_lost:
        return f'<path class="message" d="M{x - 5:g} {y - 5:g}l10 10m0 -10l-10 10"/>'
    back = -9 * direction
    return f'<path class="head" d="M{x:g} {y:g}l{back} -4v8z"/>'


class DrawSequenceDiagrams(SphinxPostTransform):
    """Replace the blocks of HTML pages by drawings."""

    default_priority = 200
    formats = ("html",)

    def run(self, **_: Any) -> None:
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language") == "mermaid":
                try:
                    block.replace_self(nodes.raw("", render(parse(block.astext())), format="html"))
                except ValueError as e:
                    logging.getLogger(__name__).warning("mermaid: %s", e, location=block)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(DrawSequenceDiagrams)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
