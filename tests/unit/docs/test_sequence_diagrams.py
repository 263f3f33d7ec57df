"""Sequence diagrams of the documentation: what is read, and that nothing overlaps or leaves the drawing."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.docs.extension import load_extension

pytest.importorskip("sphinx")
diagrams = load_extension("sequence_diagrams")

ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"
SOURCES = re.findall(r"^```mermaid\n(.*?)^```$", ARCHITECTURE.read_text(), re.MULTILINE | re.DOTALL)
SVG = "{http://www.w3.org/2000/svg}"

SOURCE = """
sequenceDiagram
    participant W as worker
    participant D as Data <Flow>
    W->>D: CreateRun & more
    D-->>W: OCID
    W-xD: a message that does not arrive and is so long that it needs two lines
    W->>W: waits
    Note over W,D: both of them
"""


def drawing(source: str) -> ElementTree.Element:
    svg = ElementTree.fromstring(diagrams.render(diagrams.parse(source))).find(f"{SVG}svg")
    assert svg is not None
    return svg


def test_lines_become_participants_messages_and_notes():
    diagram = diagrams.parse(SOURCE)
    assert diagram.names == ["worker", "Data <Flow>"]
    first, response, lost, loop, note = diagram.steps
    assert (first.source, first.target, first.lines) == (0, 1, ["CreateRun & more"])
    assert (first.is_dashed, response.is_dashed, response.source) == (False, True, 1)
    assert (first.is_lost, lost.is_lost, len(lost.lines)) == (False, True, 3)
    assert loop.source == loop.target == 0
    assert (note.first, note.last, note.lines) == (0, 1, ["both of them"])


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("graph TD", "expected sequenceDiagram"),
        ("", "expected sequenceDiagram"),
        ("sequenceDiagram\nloop every second", "loop every second.*expected a participant"),
        ("sequenceDiagram\nparticipant A\nA->>B: hello", "A->>B: hello.*'B' is not in list"),
        ("sequenceDiagram\nparticipant A\nA->>A: one; two", "; and # are not allowed"),
    ],
)
def test_line_that_is_not_understood_is_named(source, problem):
    with pytest.raises(ValueError, match=problem):
        diagrams.parse(source)


def test_text_is_escaped():
    texts = [text.text for text in drawing(SOURCE).iter(f"{SVG}text")]
    assert "Data <Flow>" in texts
    assert "CreateRun & more" in texts


def test_lost_message_has_a_cross_and_others_a_head():
    svg = drawing(SOURCE)
    assert len(svg.findall(f"{SVG}path[@class='head']")) == 3
    assert len(svg.findall(f"{SVG}path[@class='response']")) == 1


@pytest.mark.parametrize("source", [SOURCE, *SOURCES])
def test_everything_is_inside_of_the_drawing(source):
    svg = drawing(source)
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    for box in svg.iter(f"{SVG}rect"):
        x, y = float(box.attrib["x"]), float(box.attrib["y"])
        assert 0 <= x <= x + float(box.attrib["width"]) <= width
        assert 0 <= y <= y + float(box.attrib["height"]) <= height
    for text in svg.iter(f"{SVG}text"):
        length = len(text.text or "") * diagrams.CHARACTER_WIDTH
        share = {"middle": 0.5, "start": 0.0}[text.attrib["text-anchor"]]
        x = float(text.attrib["x"])
        assert x - share * length >= 0
        assert x + (1 - share) * length <= width
        assert 0 < float(text.attrib["y"]) < height


@pytest.mark.parametrize("source", [SOURCE, *SOURCES])
def test_texts_do_not_overlap(source):
    def box(text: ElementTree.Element) -> tuple[float, float, float]:
        length = len(text.text or "") * diagrams.CHARACTER_WIDTH
        x = float(text.attrib["x"]) - (length / 2 if text.attrib["text-anchor"] == "middle" else 0)
        return x, x + length, float(text.attrib["y"])

    boxes = [box(text) for text in drawing(source).iter(f"{SVG}text")]
    for i, (left, right, y) in enumerate(boxes):
        for other_left, other_right, other_y in boxes[:i]:
            apart = abs(y - other_y) >= diagrams.LINE_HEIGHT
            assert apart or right <= other_left or other_right <= left


def test_page_shows_the_way_of_a_run_kill_clear_and_restart():
    assert len(SOURCES) == 4
    headings = re.findall(r"^## (.+)$", ARCHITECTURE.read_text(), re.MULTILINE)
    assert headings[:4] == ["The way of a run", "Kill", "Clear", "Restart of the triggerer"]
