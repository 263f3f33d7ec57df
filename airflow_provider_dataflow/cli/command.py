"""Description of a command, from which both command lines are made: our own and Airflow's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dataflow.exceptions import DataFlowError


@dataclass(frozen=True)
class Option:
    """Argument of a command.

    :param flags: for example ``("-o", "--output")``, or one name for a positional argument.
    :param settings: further arguments of ``argparse``'s ``add_argument``.
    """

    flags: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """Command with its options.

    :param name: for example ``package``.
    :param help: one line.
    :param run: does the work, and returns the lines to print. Raises ``DataFlowError`` if it cannot.
    :param options: of the command line.
    :param description: of the help page. Default: ``help``.
    """

    name: str
    help: str
    run: Callable[[argparse.Namespace], Sequence[str]]
    options: Sequence[Option] = ()
    description: str | None = None

    def __call__(self, arguments: argparse.Namespace) -> int:
        """Run the command and return the exit code: 1 after an error, which is printed on one line."""
        try:
            # Airflow logs to stdout, which belongs to the result.
            with redirect_stdout(sys.stderr):
                lines = self.run(arguments)
        except DataFlowError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        for line in lines:
            print(line)
        return 0
