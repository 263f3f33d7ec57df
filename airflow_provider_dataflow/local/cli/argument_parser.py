"""Argument parser whose usage errors are one line on stderr.

The line names the option, the given value and what was expected.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.engines.json_fields import shown
from airflow_provider_dataflow.local.http.error_messages import as_sentence, did_you_mean

PROGRAM = "dataflow-local"
USAGE_ERROR = 2

# Messages of argparse that are replaced by clearer ones.
_MISSING_ARGUMENT = re.compile(r"the following arguments are required: (.+)")
_MISSING_VALUE = re.compile(r"argument (\S+): expected (?:one|at least one) argument")
_UNEXPECTED_VALUE = re.compile(r"argument (\S+): ignored explicit argument (.+)", re.DOTALL)


def print_error(message: str) -> None:
    """Print a message on one line to stderr, unless stderr is closed."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"{PROGRAM}: {terminal.printable(' '.join(message.split()))}", file=sys.stderr, flush=True)


class OneLineParser(argparse.ArgumentParser):
    """Argument parser with one-line errors, and suggestions for unknown commands, options and choices."""

    def __init__(self, **kwargs: Any) -> None:
        # With abbreviations, a typo could select another option.
        super().__init__(allow_abbrev=False, **kwargs)

    def parse(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Parse the arguments.

        :raises SystemExit: with code 2 for a usage error, 0 for ``--help`` and ``--version``
        """
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            parser: OneLineParser = arguments.parser
            parser.error(parser._unknown_words(unknown))
        return arguments

    def error(self, message: str) -> NoReturn:
        print_error(f"{as_sentence(self._clearer(message))} See: {self.prog} --help")
        sys.exit(USAGE_ERROR)

    def option_of(self, field: str) -> str | None:
        """Return the option or argument whose value is stored in this field."""
        for action in self._actions:
            if action.dest == field:
                return action.option_strings[0] if action.option_strings else str(action.metavar or field)
        return None

    def _unknown_words(self, words: list[str]) -> str:
        for word in words:
            if word.startswith("-"):
                option = word.partition("=")[0]
                return (
                    f"there is no option {shown(option)}.{did_you_mean(option, self._option_string_actions)}"
                )
        return f"unexpected argument {shown(words[0])}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        problem = f"{shown(value)} is not one of {', '.join(known)}.{did_you_mean(value, known)}"
        raise argparse.ArgumentError(action, problem)

    def _choices_of(self, name: str) -> str:
        for action in self._actions:
            if action.metavar == name and action.choices is not None:
                return f"; one of {', '.join(map(str, action.choices))}"
        return ""

    def _clearer(self, message: str) -> str:
        if match := _MISSING_ARGUMENT.fullmatch(message):
            return f"{match[1].replace(', ', ' and ')} missing{self._choices_of(match[1])}"
        if match := _MISSING_VALUE.fullmatch(message):
            option = match[1].partition("/")[0]
            metavar = next((str(a.metavar) for a in self._actions if option in a.option_strings), "VALUE")
            return (
                f"{match[1]} needs a value: {metavar}. If the value begins with a dash: {option}=-{metavar}"
            )
        if match := _UNEXPECTED_VALUE.fullmatch(message):
            return f"{match[1]} takes no value, but was given {match[2]}"
        return message.removeprefix("argument ")
