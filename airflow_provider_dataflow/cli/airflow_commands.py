"""Commands for ``airflow oci-data-flow``, named in the provider's metadata. Airflow reads it from 3.2 on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from airflow_provider_dataflow.cli.command import Command
from airflow_provider_dataflow.cli.commands import COMMANDS, GROUP, SUMMARY


def get_provider_cli_commands() -> list[Any]:
    """Return the group of commands, in the classes of Airflow's command line."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    return [
        GroupCommand(
            name=GROUP,
            help=SUMMARY,
            subcommands=[
                ActionCommand(
                    name=command.name,
                    help=command.help,
                    description=command.description,
                    func=_exiting(command),
                    args=[Arg(flags=option.flags, **option.settings) for option in command.options],
                )
                for command in COMMANDS
            ],
        )
    ]


def _exiting(command: Command) -> Callable[[argparse.Namespace], None]:
    """Return a function that ends the process after an error, since Airflow ignores what it returns."""

    def run(arguments: argparse.Namespace) -> None:
        if code := command(arguments):
            sys.exit(code)

    return run
