"""Fields of ``Options`` as options of ``dataflow-local serve``, and back."""

from __future__ import annotations

import argparse
from dataclasses import Field, fields
from enum import StrEnum
from typing import Any

from airflow_provider_dataflow.local.cli import argument_types
from airflow_provider_dataflow.local.engines.json_fields import FieldError
from airflow_provider_dataflow.local.state.options import Options

# Argument types of the fields that hold several words.
_TYPES_OF_TUPLES = {"allowed_hosts": argument_types.hosts, "forbidden_properties": argument_types.properties}


def _option(field: Field[Any]) -> str:
    if field.metadata["flag"]:
        return str(field.metadata["flag"])
    return f"--{'no-' if field.default is True else ''}{field.name.replace('_', '-')}"


def _add_argument_kwargs(field: Field[Any]) -> dict[str, Any]:
    """Return the keyword arguments of ``add_argument`` for a field."""
    default, text, metavar = field.default, field.metadata["help"], field.metadata["metavar"]
    match default:
        case bool():
            return {"action": "store_const", "const": not default, "help": text}
        case StrEnum():
            return {
                "choices": [str(choice) for choice in type(default)],
                "help": f"{text} (default: {default})",
            }
        case tuple():
            words = f"{metavar or 'PATTERN'}[,...]"
            return {"type": _TYPES_OF_TUPLES[field.name], "metavar": words, "help": text}
        case float():
            return {
                "type": argument_types.duration,
                "metavar": "DURATION",
                "help": f"{text} (default: {default:g} s)",
            }
        case int():
            return {"type": argument_types.count, "metavar": "N", "help": f"{text} (default: {default})"}
        case None:
            return {"type": argument_types.count, "metavar": "N", "help": f"{text} (default: no limit)"}
    raise NotImplementedError(field.name)


def add_server_options(group: argparse._ArgumentGroup) -> None:
    """Add an option for each field of ``Options``."""
    for field in fields(Options):
        group.add_argument(
            _option(field), dest=field.name, default=argparse.SUPPRESS, **_add_argument_kwargs(field)
        )


def options_from(arguments: argparse.Namespace) -> Options:
    """Return the options that were given on the command line.

    :raises FieldError: two options contradict each other
    """
    given = {f.name: _value(f, arguments) for f in fields(Options) if hasattr(arguments, f.name)}
    options = Options(**given)
    if {"default_page", "max_page"} <= set(given) and options.default_page > options.max_page:
        problem = (
            f" must not be larger than the largest page, {options.max_page}, but is {options.default_page}"
        )
        raise FieldError("default_page", problem)
    return options


def _value(field: Field[Any], arguments: argparse.Namespace) -> Any:
    value = getattr(arguments, field.name)
    return type(field.default)(value) if isinstance(field.default, StrEnum) else value


def to_arguments(options: Options) -> list[str]:
    """Return the command line options for the fields that do not have their default."""
    words = []
    for field in fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(_option(field))
        else:
            text = ",".join(value) if isinstance(value, tuple) else value
            words.append(f"{_option(field)}={text}")
    return words
