"""Snippets of the documentation that need Local Data Flow and Spark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "local.md"

pytestmark = pytest.mark.spark


def test_snippet_of_local_data_flow_prints_what_its_comments_say(capsys):
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    expected = re.findall(r"^ *print\(.*\)  # (.+)$", snippet, re.MULTILINE)
    assert len(expected) == snippet.count("print(") - 1  # one print is in the application
    exec(compile(snippet, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.splitlines() == expected
