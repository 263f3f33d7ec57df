"""What the documentation lists is what there is: operations, and the options of the command line."""

from __future__ import annotations

import argparse
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import oci

from airflow_provider_dataflow.local.cli.command_line import make_parser
from airflow_provider_dataflow.local.http.operations import OBJECT_STORAGE_OPERATIONS

PAGES = Path(__file__).parents[3] / "docs" / "local"


def test_every_operation_is_in_the_table():
    client = oci.data_flow.DataFlowClient
    known = {
        name.title().replace("_", "")
        for name, _ in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_")
    }
    page = (PAGES / "fidelity.md").read_text()
    named = set(re.findall(r"^\| ([A-Z]\w+)(?: \(cancel\))? \|", page, re.MULTILINE))
    assert named - {"Operation"} == known


def test_every_operation_of_object_storage_is_in_the_table():
    page = (PAGES / "object_storage.md").read_text()
    named = re.findall(r"^\| ([A-Z]\w+) \|", page, re.MULTILINE)
    assert sorted(set(named) - {"Operation"}) == sorted(OBJECT_STORAGE_OPERATIONS)


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each command with its long options."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        options = {o for a in parser._actions for o in a.option_strings if o.startswith("--")}
        yield name, options - {"--help", "--home"}
    for action in below:
        for word, child in action.choices.items():
            yield from commands(child, f"{name} {word}".strip())


def documented(page: str) -> dict[str, set[str]]:
    """Of the table of commands, each with the options in its line; the tables of options are of serve."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in page.splitlines():
        first, _, rest = line.removeprefix("| ").partition(" | ")
        if not line.startswith("| `"):
            continue
        if first.startswith("`--"):
            found["serve"].update(re.findall(r"`(--[a-z-]+)`", first))
            continue
        for command in re.findall(r"`([a-z -]+?)(?: [^a-z`][^`]*)?`", first):
            found[command].update(re.findall(r"`(--[a-z-]+)", rest))
    return found


def test_every_command_and_option_is_on_its_page():
    assert documented((PAGES / "cli.md").read_text()) == dict(commands(make_parser()))
