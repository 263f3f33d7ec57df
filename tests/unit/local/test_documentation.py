"""The table of fidelity names all operations that the SDK knows."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import oci

PAGE = Path(__file__).parents[3] / "docs" / "local" / "fidelity.md"


def test_every_operation_is_in_the_table():
    client = oci.data_flow.DataFlowClient
    known = {
        name.title().replace("_", "")
        for name, _ in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_")
    }
    named = set(re.findall(r"^\| ([A-Z]\w+)(?: \(cancel\))? \|", PAGE.read_text(), re.MULTILINE))
    assert named - {"Operation"} == known
