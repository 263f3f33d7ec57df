"""Commands of ``dataflow-local`` with valid arguments, and calls that must fail."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_dataflow.local.cli.command_line import main, make_parser

RUN = "ocid1.dataflowrun.oc1.iad.aaaa"
SQL_ENDPOINT = "ocid1.dataflowsqlendpoint.oc1.iad.aaaa"
COMPARTMENT = "ocid1.compartment.oc1..aaaa"

# Valid arguments of every command.
VALID = {
    "serve": ["--engine", "scripted", "--port", "0"],
    "status": [],
    "reset": [],
    "connection": [],
    "bucket": ["data"],
    "warm": [],
    "runs": [],
    "logs": [RUN],
    "cancel": [RUN],
    "maintain": [RUN],
    "move": [RUN, COMPARTMENT],
    "sql-endpoint list": [],
    "sql-endpoint show": [SQL_ENDPOINT],
    "sql-endpoint maintain": [SQL_ENDPOINT],
    "fault add": ["drop"],
    "fault list": [],
    "fault clear": [],
    "rule add": [],
    "rule list": [],
    "rule clear": [],
    "clock show": [],
    "clock advance": ["1h"],
}
# Commands that need no server.
WITHOUT_SERVER = {"serve", "connection", "bucket", "warm"}


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, child in action.choices.items():
            yield from leaves(child, f"{name} {word}".strip())


COMMANDS = dict(leaves(make_parser()))


def name_of(action: argparse.Action) -> str:
    return action.option_strings[0] if action.option_strings else str(action.metavar)


WITH_SERVER = [c for c in COMMANDS if c not in WITHOUT_SERVER]


def outcome(capsys, *argv: str) -> tuple[int, str]:
    """Return the exit code and stderr; assert that stdout is empty."""
    try:
        code = main(list(argv))
    except SystemExit as e:
        code = e.code
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


def one_line(error: str) -> str:
    assert error.startswith("dataflow-local: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert "Traceback" not in error
    assert "<" not in error.replace("<namespace>", "").replace("<bucket>", ""), "the repr of an object"
    return error


def usage_error(capsys, *argv: str) -> str:
    code, error = outcome(capsys, *argv)
    assert code == 2, error
    return one_line(error)


def failure(capsys, *argv: str) -> str:
    code, error = outcome(capsys, *argv)
    assert code == 1, error
    return one_line(error)


def pretend_server(home: Path, port: int, pid: int = 1) -> Path:
    home.mkdir(exist_ok=True)
    info = {"pid": pid, "port": port, "endpoint": f"http://127.0.0.1:{port}"}
    (home / "server.json").write_text(json.dumps(info))
    return home
