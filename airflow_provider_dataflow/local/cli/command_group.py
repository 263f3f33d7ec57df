"""Groups of commands with the options that all commands have."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from airflow_provider_dataflow.local.cli import argument_types
from airflow_provider_dataflow.local.cli.argument_parser import OneLineParser
from airflow_provider_dataflow.local.state.home import DEFAULT_HOME, HOME_VARIABLE, Home

Command = Callable[[Home, argparse.Namespace], None]


class CommandGroup:
    """Group of commands, to which commands with ``--home`` are added."""

    def __init__(self, parser: OneLineParser, common: OneLineParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")
        self._common = common

    def add(
        self, name: str, function: Command | None, help: str, examples: str | None = None
    ) -> OneLineParser:
        """Add a command and return its parser.

        :param function: ``None`` for a command that has subcommands
        """
        parser: OneLineParser = self._commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[] if function is None else [self._common],
        )
        if function is not None:
            parser.set_defaults(function=function, parser=parser)
        return parser


def add_home(parser: OneLineParser, default: str) -> None:
    parser.add_argument(
        "--home",
        type=argument_types.folder,
        default=default,
        metavar="FOLDER",
        help=f"folder for the state, buckets and logs (default: ${HOME_VARIABLE} or {DEFAULT_HOME})",
    )
