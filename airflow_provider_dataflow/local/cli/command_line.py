"""Command line ``dataflow-local``: its commands, their arguments, and exit codes.

Exit codes: 0 success, 1 the command failed, 2 the command line is wrong, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import os
import sys

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.local.cli import argument_types, server_commands
from airflow_provider_dataflow.local.cli.argument_parser import PROGRAM, OneLineParser, print_error
from airflow_provider_dataflow.local.cli.command_errors import CommandError, UsageError
from airflow_provider_dataflow.local.cli.command_group import CommandGroup, add_home
from airflow_provider_dataflow.local.cli.resource_parsers import add_run_commands, add_sql_endpoint_commands
from airflow_provider_dataflow.local.cli.server_client import RequestFailed
from airflow_provider_dataflow.local.cli.server_options import add_server_options
from airflow_provider_dataflow.local.cli.simulation_parsers import (
    add_clock_commands,
    add_fault_commands,
    add_rule_commands,
)
from airflow_provider_dataflow.local.cli.terminal import flush_stdout
from airflow_provider_dataflow.local.http.server_settings import DEFAULT_PORT
from airflow_provider_dataflow.local.state.home import DEFAULT_HOME, HOME_VARIABLE, Home, HomeUnusable

COMMAND_FAILED = 1
INTERRUPTED = 130

_EXAMPLES = """examples:
  dataflow-local serve                                  serve with real Spark, until Ctrl-C
  dataflow-local serve --engine scripted --port 0       simulate runs, on any free port
  dataflow-local runs --state FAILED
  dataflow-local logs RUN_ID --follow
  dataflow-local fault add status --status 429 --retry-after 3 --operation GetRun --count 5
  dataflow-local rule add --name 'etl-*' --outcome FAILED --details 'no such month'
  eval "export $(dataflow-local connection)"            configure Airflow in this shell

exit codes: 0 success, 1 the command failed, 2 the command line is wrong, 130 stopped by Ctrl-C
"""
_SERVE_EXAMPLES = """examples:
  dataflow-local serve --max-concurrent-runs 1          a second run waits in ACCEPTED
  dataflow-local serve --engine scripted --clock manual time stops until "clock advance"
  dataflow-local serve --no-verify                      for clients that cannot sign
  dataflow-local serve --replay conflict --max-live-runs-per-compartment 10
"""


def make_parser() -> OneLineParser:
    parser = OneLineParser(
        prog=PROGRAM,
        description="The API of OCI Data Flow on this machine, with real Spark or simulated runs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    add_home(parser, os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    common = OneLineParser(add_help=False)
    # --home is also allowed after the command. A default there would override a value before the command.
    add_home(common, argparse.SUPPRESS)
    top = CommandGroup(parser, common)
    _add_server_commands(top)
    add_run_commands(top)
    for name, add_commands, help in (
        ("sql-endpoint", add_sql_endpoint_commands, "list, show or maintain SQL endpoints"),
        ("fault", add_fault_commands, "add, list or remove faults of the service"),
        ("rule", add_rule_commands, "add, list or remove rules for runs of the scripted engine"),
        ("clock", add_clock_commands, "show or move the server's time"),
    ):
        add_commands(CommandGroup(top.add(name, None, help), common))
    return parser


def _add_server_commands(top: CommandGroup) -> None:
    serve = top.add("serve", server_commands.serve, "serve until Ctrl-C", _SERVE_EXAMPLES)
    serve.add_argument(
        "--port",
        type=argument_types.any_port,
        default=DEFAULT_PORT,
        metavar="PORT",
        help="port on 127.0.0.1; 0 takes any free port (default: %(default)s)",
    )
    serve.add_argument(
        "--engine",
        choices=("spark", "scripted"),
        default="spark",
        help="spark: run applications; scripted: simulate runs (default: %(default)s)",
    )
    serve.add_argument(
        "--clock",
        choices=("system", "manual"),
        default="system",
        help='manual: time stops until "clock advance" (default: %(default)s)',
    )
    serve.add_argument(
        "--max-concurrent-runs",
        type=argument_types.count,
        metavar="N",
        help="most runs in progress at the same time; others wait (default: what the machine can take)",
    )
    serve.add_argument(
        "--no-warm", action="store_true", help="do not create the class-data archive when idle"
    )
    serve.add_argument("--exit-with-stdin", action="store_true", help="stop when stdin ends")
    serve.add_argument("--quiet", action="store_true", help="print and log only warnings")
    add_server_options(
        serve.add_argument_group(
            "behaviour of the service that is not documented by OCI or depends on the tenancy"
        )
    )
    status = top.add("status", server_commands.status, "show whether a server runs, and how many runs it has")
    status.add_argument("--json", action="store_true", help="print JSON")
    top.add("reset", server_commands.reset, "delete all runs and other resources, faults and rules")
    connection = top.add(
        "connection",
        server_commands.connection,
        "print the configuration with which a client connects to the server",
    )
    connection.add_argument(
        "--port", type=argument_types.port, metavar="PORT", help="port of a server that is not running yet"
    )
    connection.add_argument(
        "--for",
        dest="form",
        choices=("airflow", "oci", "sdk", "ocifs", "terraform"),
        default="airflow",
        help="Airflow's environment, the oci CLI, the Python SDK, ocifs, or Terraform (default: %(default)s)",
    )
    bucket = top.add("bucket", server_commands.bucket, "create a bucket and print its folder, or list all")
    bucket.add_argument("bucket", nargs="?", type=argument_types.bucket, metavar="NAME[@NAMESPACE]")
    top.add(
        "warm",
        server_commands.warm,
        "create the class-data archive that halves the start time of runs (half a minute, once per machine)",
    )


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    :raises SystemExit: with code 2 for a usage error, 0 for ``--help`` and ``--version``
    """
    _escape_unencodable_characters()
    try:
        return _run(argv)
    except (CommandError, HomeUnusable, RequestFailed) as e:
        print_error(str(e))
        return COMMAND_FAILED
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as e:
        # Without a file name it is stdout, whose disk may be full; otherwise a file in the home.
        where = "Cannot write to stdout" if e.filename is None else os.fsdecode(e.filename)
        print_error(f"{where}: {e.strerror or e}.")
        return COMMAND_FAILED


def _run(argv: list[str] | None) -> int:
    try:
        arguments = make_parser().parse(argv)
        try:
            arguments.function(Home(arguments.home), arguments)
        except UsageError as e:
            arguments.parser.error(str(e))
    finally:
        # Flush here: an error while Python exits would print a traceback.
        flush_stdout()
    return 0


def _escape_unencodable_characters() -> None:
    """Escape characters that the encoding of stdout and stderr does not have, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
