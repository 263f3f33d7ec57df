"""Errors of commands; the command line prints their messages on one line."""

from __future__ import annotations

import argparse

from airflow_provider_dataflow.local.engines.json_fields import FieldError


class CommandError(Exception):
    """The command failed; the exit code is 1."""


class UsageError(Exception):
    """The arguments contradict each other; the exit code is 2."""


def usage_error(error: FieldError, arguments: argparse.Namespace) -> UsageError:
    """Return the error of a field as an error of the option that sets it."""
    option = arguments.parser.option_of(error.field)
    return UsageError(str(error) if option is None else error.with_name(option))
