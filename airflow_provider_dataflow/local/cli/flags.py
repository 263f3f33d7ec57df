"""The fields of ``Options`` as options of the command line, and back."""

from __future__ import annotations

import argparse
from dataclasses import Field, fields
from enum import StrEnum
from typing import Any

from airflow_provider_dataflow.local.cli.commands import seconds
from airflow_provider_dataflow.local.state.options import Options


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _flag(field: Field[Any]) -> str:
    if field.metadata["flag"]:
        return str(field.metadata["flag"])
    return f"--{'no-' if field.default is True else ''}{field.name.replace('_', '-')}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _how(field: Field[Any]) -> dict[str, Any]:
    """What ``add_argument`` needs to know."""
    default, text, metavar = field.default, field.metadata["help"], field.metadata["metavar"]
    match default:
        case bool():
            return {"action": "store_const", "const": not default, "help": text}
        case StrEnum():
            return {
                "type": type(default),
                "choices": list(type(default)),
                "help": f"{text} (default: {default})",
            }
        case tuple():
            many = f"{metavar or 'PATTERN'}[,...]"
            return {"type": _words, "metavar": many, "help": text}
        case float():
            return {"type": seconds, "metavar": "DURATION", "help": f"{text} (default: {default:g} s)"}
        case int():
            return {"type": positive, "metavar": "N", "help": f"{text} (default: {default})"}
        case None:
            return {"type": positive, "metavar": "N", "help": f"{text} (default: no limit)"}
    raise NotImplementedError(field.name)


def add_flags(parser: argparse._ArgumentGroup) -> None:
    for field in fields(Options):
        parser.add_argument(_flag(field), dest=field.name, default=argparse.SUPPRESS, **_how(field))


def options_from(arguments: argparse.Namespace) -> Options:
    given = vars(arguments)
    return Options(**{f.name: given[f.name] for f in fields(Options) if f.name in given})


def as_flags(options: Options) -> list[str]:
    """What is not as by default, for the command line of a server."""
    words = []
    for field in fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(_flag(field))
        else:
            text = ",".join(value) if isinstance(value, tuple) else value
            words.append(f"{_flag(field)}={text}")
    return words
