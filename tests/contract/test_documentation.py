"""Snippets of the documentation that need Local Data Flow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "prints_of_applications"),
    [pytest.param("local.md", 1, marks=pytest.mark.spark), ("local/object_storage.md", 0)],
)
def test_snippet_of_local_data_flow_prints_what_its_comments_say(capsys, name, prints_of_applications):
    page = DOCS / name
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    expected = re.findall(r"^ *print\(.*\)  # (.+)$", snippet, re.MULTILINE)
    assert len(expected) == snippet.count("print(") - prints_of_applications
    exec(compile(snippet, str(page), "exec"), {})
    assert capsys.readouterr().out.splitlines() == expected
