"""Description of a command, from which both command lines are made: our own and Airflow's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dataflow.exceptions import DataFlowError


class UsageError(DataFlowError):
    """An option has a wrong value. The exit code is 2, as for an unknown option."""


@dataclass(frozen=True)
class Result:
    """Output of a command that can also end without success.

    :param lines: lines to print.
    :param exit_code: of the process.
    """

    lines: Sequence[str]
    exit_code: int = 0


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
    :param run: does the work, and returns the lines to print, or a :class:`Result`. Raises ``DataFlowError``
        if it cannot.
    :param options: of the command line.
    :param description: of the help page. Default: ``help``.
    """

    name: str
    help: str
    run: Callable[[argparse.Namespace], Sequence[str] | Result]
    options: Sequence[Option] = ()
    description: str | None = None

    def __call__(self, arguments: argparse.Namespace) -> int:
        """Run the command and return the exit code: 1 or 2 after an error, which is printed on one line."""
        try:
            # Airflow logs to stdout, which belongs to the result.
            with redirect_stdout(sys.stderr):
                result = self.run(arguments)
        except DataFlowError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2 if isinstance(error, UsageError) else 1
        except KeyboardInterrupt:
            return 130
        if not isinstance(result, Result):
            result = Result(result)
        for line in result.lines:
            print(line)
        return result.exit_code
