"""Command line without Airflow's: works on all its releases."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow_provider_dataflow.cli.commands import COMMANDS, SUMMARY


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    result = argparse.ArgumentParser(prog="python -m airflow_provider_dataflow.cli", description=SUMMARY)
    subparsers = result.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name, help=command.help, description=command.description or command.help
        )
        for option in command.options:
            subparser.add_argument(*option.flags, **option.settings)
        subparser.set_defaults(command=command)
    return result


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    :param words: of the command line. Default: those of the process.
    """
    arguments = parser().parse_args(words)
    code: int = arguments.command(arguments)
    return code
