"""The command line's parser and the types of its arguments.

A usage error is one line on stderr: the option, what was given, what is expected; the exit code is 2.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.http.suggestions import as_sentence, did_you_mean
from airflow_provider_dataflow.local.state.buckets import DEFAULT_NAMESPACE, ObjectUri, parse_uri
from airflow_provider_dataflow.local.state.ocids import is_ocid

PROGRAM = "dataflow-local"
USAGE_ERROR = 2
MAX_PORT = 65535
MAX_COUNT = 10**9
MAX_DURATION_SECONDS = 10 * 365 * 24 * 3600.0
DURATION_EXAMPLES = "90, 90s, 15m, 1h30m or 2d"
_MAX_SHOWN = 200
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_DURATION = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+(?:\.[0-9]+)?)s?)?")
_PATTERN_OF_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PATTERN_OF_PROPERTY = re.compile(r"[^\s=,]+")

# How argparse says what is wrong, and how to say it here.
_MISSING = re.compile(r"the following arguments are required: (.+)")
_NO_VALUE = re.compile(r"argument (\S+): expected (?:one|at least one) argument")
_VALUE_OF_FLAG = re.compile(r"argument (\S+): ignored explicit argument (.+)", re.DOTALL)


def complain(message: str) -> None:
    """Write one line to stderr, if there is a stderr."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"{PROGRAM}: {terminal.printable(' '.join(message.split()))}", file=sys.stderr, flush=True)


def shown(text: str) -> str:
    """What was given, in quotes, and not longer than a line."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with near matches for what is not known."""

    def __init__(self, **kwargs: Any) -> None:
        # Abbreviations would turn a typo into another option.
        super().__init__(allow_abbrev=False, **kwargs)

    def parse(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """:raises SystemExit: with code 2 for a usage error, 0 for ``--help`` and ``--version``"""
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            parser: Parser = arguments.parser
            parser.error(parser._unknown(unknown))
        return arguments

    def error(self, message: str) -> NoReturn:
        complain(f"{as_sentence(self._in_plain_words(message))} See: {self.prog} --help")
        sys.exit(USAGE_ERROR)

    def option_of(self, field: str) -> str | None:
        """Return the name on the command line of the argument that fills this field."""
        for action in self._actions:
            if action.dest == field:
                return action.option_strings[0] if action.option_strings else str(action.metavar or field)
        return None

    def _unknown(self, words: list[str]) -> str:
        for word in words:
            if word.startswith("-"):
                option = word.partition("=")[0]
                return (
                    f"there is no option {shown(option)}.{did_you_mean(option, self._option_string_actions)}"
                )
        return f"{shown(words[0])} is an argument too many"

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

    def _in_plain_words(self, message: str) -> str:
        if match := _MISSING.fullmatch(message):
            return f"{match[1].replace(', ', ' and ')} missing{self._choices_of(match[1])}"
        if match := _NO_VALUE.fullmatch(message):
            option = match[1].partition("/")[0]
            metavar = next((str(a.metavar) for a in self._actions if option in a.option_strings), "VALUE")
            return f"{match[1]} needs a value: {metavar}. If it begins with a dash: {option}=-{metavar}"
        if match := _VALUE_OF_FLAG.fullmatch(message):
            return f"{match[1]} takes no value, but was given {match[2]}"
        return message.removeprefix("argument ")


def whole_number(minimum: int, maximum: int = MAX_COUNT) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if _WHOLE.fullmatch(text.strip()) and minimum <= int(text) <= maximum:
            return int(text)
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number from {minimum} to {maximum}")

    return parse


count = whole_number(1)
any_port = whole_number(0, MAX_PORT)
port = whole_number(1, MAX_PORT)


def seconds(text: str) -> float:
    """Return the seconds of a duration such as ``90``, ``90s``, ``15m``, ``1h30m`` or ``2d``.

    :raises ValueError: it is no duration, or longer than ten years
    """
    match = _DURATION.fullmatch(text)
    if match is not None and text:
        days, hours, minutes, rest = (float(group or 0) for group in match.groups())
        number = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        number = float(text)  # .5, 1e3
    if math.isnan(number) or not 0 <= number <= MAX_DURATION_SECONDS:
        raise ValueError(text)
    return number


def duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not a duration such as {DURATION_EXAMPLES}, of at most ten years"
        ) from None


def signed_duration(text: str) -> float:
    return -duration(text[1:]) if text.startswith("-") else duration(text)


def duration_or_next(text: str) -> float | None:
    """Return ``None`` for ``next``."""
    if text == "next":
        return None
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is neither a duration such as {DURATION_EXAMPLES}, of at most ten years, nor"
            f" next.{did_you_mean(text, ['next'])}"
        ) from None


def word(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{shown(text)} is empty")
    return text


def ocid(text: str) -> str:
    if not is_ocid(text):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not an OCID, which begins with ocid1. and has the type, realm and id behind it"
        )
    return text


def tag(text: str) -> tuple[str, str]:
    key, equals, pattern = text.partition("=")
    if not key.strip() or not equals:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not of the form KEY=PATTERN, as in team=weather")
    return key, pattern


def folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{shown(text)} is not the path of a folder")
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as e:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not the path of a folder: {e}") from None


def bucket(text: str) -> ObjectUri:
    name = text.removeprefix("oci://").removesuffix("/")
    try:
        uri = parse_uri(f"oci://{name if '@' in name else f'{name}@{DEFAULT_NAMESPACE}'}")
        if uri.key:
            raise ValueError(text)
        return uri
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not of the form NAME or NAME@NAMESPACE, of letters, digits, underscores, "
            "hyphens and dots, which must not come first"
        ) from None


def _comma_separated(pattern: re.Pattern[str], what: str) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in text.split(",") if word.strip())
        for word in words:
            if not pattern.fullmatch(word):
                raise argparse.ArgumentTypeError(f"{shown(word)} is not {what}")
        return words

    return parse


hosts = _comma_separated(_PATTERN_OF_HOST, "the name or address of a host, without scheme, port and path")
properties = _comma_separated(_PATTERN_OF_PROPERTY, "a pattern for the name of a Spark property")
