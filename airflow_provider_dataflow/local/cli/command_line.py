"""Command line ``dataflow-local``: its commands, their arguments, and exit codes.

Exit codes: 0 success, 1 the command failed, 2 the command line is wrong, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.local.cli import (
    argument_types,
    run_commands,
    server_commands,
    simulation_commands,
)
from airflow_provider_dataflow.local.cli.argument_parser import PROGRAM, OneLineParser, print_error
from airflow_provider_dataflow.local.cli.command_errors import CommandError, UsageError
from airflow_provider_dataflow.local.cli.server_client import RequestFailed
from airflow_provider_dataflow.local.cli.server_options import add_server_options
from airflow_provider_dataflow.local.cli.terminal import flush_stdout
from airflow_provider_dataflow.local.engines.rules import OUTCOMES
from airflow_provider_dataflow.local.http.faults import FaultKind
from airflow_provider_dataflow.local.http.server_settings import DEFAULT_PORT
from airflow_provider_dataflow.local.state.home import DEFAULT_HOME, HOME_VARIABLE, Home, HomeUnusable
from airflow_provider_dataflow.models.run import LifecycleState

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
_FAULT_EXAMPLES = """kinds:
  lost_response           the request is carried out, then the connection is closed without a response
  drop                    the request is not carried out; the connection is closed
  status                  the request is not carried out; the response has --status (and --code, --message,
                          --retry-after)
  vanish                  404 to every request for --resource-id, which also disappears from lists
  not_found_after_create  404 until the resource is --seconds old
  replay_conflict         409 to a retry token that was used before
  limit_exceeded          400 LimitExceeded to a new run while --limit runs have not ended
  late                    the request is carried out after --seconds, if the client is still connected
  slow                    the request is carried out at once; the response is sent after --seconds
  slow_body               sending the body of the response takes --seconds
  truncated_body          the connection is closed after --bytes of the body
  clock_skew              the service's clock is --seconds ahead, so that it may reject signatures

examples:
  dataflow-local fault add lost_response --operation CreateRun --count 1
  dataflow-local fault add status --status 503 --probability 0.2 --seed 7 --for 10m
  dataflow-local fault add drop --in 1m --for 20m         an outage
  dataflow-local fault add late --seconds 20 --operation DeleteRun
  dataflow-local fault add not_found_after_create --operation GetRun --seconds 5
"""
_RULE_EXAMPLES = """\
A rule defines what happens to the runs that match it, with the scripted engine. The newest match wins.

examples:
  dataflow-local rule add --outcome SUCCEEDED --duration 20m
  dataflow-local rule add --name 'etl-*' --outcome FAILED --details 'no such month: 2013-13'
  dataflow-local rule add --tag team=weather --startup 5m --stdout 'rows: 3'
"""

Command = Callable[[Home, argparse.Namespace], None]


class _CommandGroup:
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


def _add_home(parser: OneLineParser, default: str) -> None:
    parser.add_argument(
        "--home",
        type=argument_types.folder,
        default=default,
        metavar="FOLDER",
        help=f"folder for the state, buckets and logs (default: ${HOME_VARIABLE} or {DEFAULT_HOME})",
    )


def make_parser() -> OneLineParser:
    parser = OneLineParser(
        prog=PROGRAM,
        description="The API of OCI Data Flow on this machine, with real Spark or simulated runs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _add_home(parser, os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    common = OneLineParser(add_help=False)
    # --home is also allowed after the command. A default there would override a value before the command.
    _add_home(common, argparse.SUPPRESS)
    top = _CommandGroup(parser, common)
    _add_server_commands(top)
    _add_run_commands(top)
    _add_fault_commands(
        _CommandGroup(top.add("fault", None, "add, list or remove faults of the service"), common)
    )
    _add_rule_commands(
        _CommandGroup(
            top.add("rule", None, "add, list or remove rules for runs of the scripted engine"), common
        )
    )
    clock = _CommandGroup(top.add("clock", None, "show or move the server's time"), common)
    clock.add("show", simulation_commands.clock_show, "print the server's time")
    advance = clock.add(
        "advance",
        simulation_commands.clock_advance,
        "move a manual clock forward; all events up to then happen",
    )
    advance.add_argument(
        "by",
        type=argument_types.duration_or_next,
        metavar="DURATION",
        help="such as 90, 15m, 1h30m or 2d; next: to the next event",
    )
    return parser


def _add_server_commands(top: _CommandGroup) -> None:
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
        choices=("airflow", "oci", "sdk"),
        default="airflow",
        help="Airflow's environment, the oci CLI, or the Python SDK (default: %(default)s)",
    )
    bucket = top.add("bucket", server_commands.bucket, "create a bucket and print its folder, or list all")
    bucket.add_argument("bucket", nargs="?", type=argument_types.bucket, metavar="NAME[@NAMESPACE]")
    top.add(
        "warm",
        server_commands.warm,
        "create the class-data archive that halves the start time of runs (half a minute, once per machine)",
    )


def _add_run_commands(top: _CommandGroup) -> None:
    runs = top.add("runs", run_commands.runs, "list the newest runs")
    runs.add_argument(
        "--limit",
        type=argument_types.count,
        default=20,
        metavar="N",
        help="maximum number of runs (default: %(default)s)",
    )
    runs.add_argument(
        "--state",
        choices=[str(state) for state in LifecycleState],
        metavar="STATE",
        help="only runs in this state",
    )
    runs.add_argument("--json", action="store_true", help="print JSON")
    logs = top.add("logs", run_commands.logs, "print a log of a run")
    logs.add_argument("run_id", type=argument_types.word, metavar="RUN_ID")
    which = logs.add_mutually_exclusive_group()
    which.add_argument(
        "--name",
        type=argument_types.word,
        metavar="LOG",
        help="name of the log (default: the application's stdout)",
    )
    which.add_argument("--stderr", action="store_true", help="the application's stderr")
    which.add_argument("--list", "-l", action="store_true", help="print only the names of the logs")
    logs.add_argument("--follow", "-f", action="store_true", help="keep printing until the run has ended")
    cancel = top.add("cancel", run_commands.cancel, "cancel runs with signed requests, as other clients do")
    cancel.add_argument("run_id", nargs="+", type=argument_types.word, metavar="RUN_ID")
    cancel.add_argument("--wait", action="store_true", help="wait until the runs have ended")

    maintain = top.add(
        "maintain", run_commands.maintain, "stop a STREAMING run for maintenance and start its successor"
    )
    maintain.add_argument("run_id", type=argument_types.word, metavar="RUN_ID")
    maintain.add_argument(
        "--successor-after",
        type=argument_types.duration,
        default=0.0,
        metavar="DURATION",
        help="time from the end of the run to its successor (default: none)",
    )
    maintain.add_argument("--copy-tags", action="store_true", help="copy the run's tags to its successor")

    move = top.add("move", run_commands.move, "move a run to another compartment, whatever its state")
    move.add_argument("run_id", type=argument_types.word, metavar="RUN_ID")
    move.add_argument("compartment_id", type=argument_types.ocid, metavar="COMPARTMENT_ID")


def _add_fault_commands(fault: _CommandGroup) -> None:
    add = fault.add("add", simulation_commands.fault_add, "add a fault", _FAULT_EXAMPLES)
    add.add_argument("kind", choices=[str(kind) for kind in FaultKind], metavar="KIND", help="see below")
    which = add.add_argument_group("which requests")
    which.add_argument(
        "--operation", metavar="PATTERN", help="operation, such as CreateRun or '*Run' (default: all)"
    )
    which.add_argument(
        "--resource-id", type=argument_types.ocid, metavar="OCID", help="resource that the request names"
    )
    which.add_argument("--user", metavar="PATTERN", help="OCID of the user that signed the request")
    often = add.add_argument_group("how often")
    often.add_argument("--count", metavar="N", help="number of requests that fail (default: all)")
    often.add_argument("--after", metavar="N", help="number of matching requests to skip first")
    often.add_argument("--probability", metavar="P", help="share of requests that fail, from 0 to 1")
    often.add_argument("--seed", metavar="N", help="with the same seed, the same requests fail")
    often.add_argument(
        "--in",
        dest="in_seconds",
        type=argument_types.duration,
        metavar="DURATION",
        help="delay before the fault begins",
    )
    often.add_argument(
        "--for",
        dest="for_seconds",
        type=argument_types.duration,
        metavar="DURATION",
        help="duration of the fault",
    )
    how = add.add_argument_group("how")
    how.add_argument("--status", metavar="N", help="HTTP status, from 400 to 599")
    how.add_argument("--code", metavar="CODE", help="error code (default: that of the status)")
    how.add_argument("--message", metavar="TEXT", help="error message (default: that of the status)")
    how.add_argument(
        "--retry-after", type=argument_types.duration, metavar="DURATION", help="Retry-After header"
    )
    how.add_argument(
        "--seconds",
        type=argument_types.signed_duration,
        metavar="DURATION",
        help="see the kinds; only clock_skew may be negative",
    )
    how.add_argument("--limit", metavar="N", help="number of runs that have not ended")
    how.add_argument("--bytes", metavar="N", help="bytes of the body that are sent (default: half)")
    fault.add("list", simulation_commands.fault_list, "list the faults, and how often each was applied")
    clear = fault.add("clear", simulation_commands.fault_clear, "remove faults")
    clear.add_argument(
        "id", nargs="?", type=argument_types.word, metavar="ID", help="only this one (default: all)"
    )


def _add_rule_commands(rule: _CommandGroup) -> None:
    add = rule.add(
        "add",
        simulation_commands.rule_add,
        "add a rule, which takes precedence over earlier ones",
        _RULE_EXAMPLES,
    )
    which = add.add_argument_group("which runs")
    which.add_argument("--name", dest="display_name", metavar="PATTERN", help="pattern for the display name")
    which.add_argument(
        "--application-id", type=argument_types.ocid, metavar="OCID", help="application of the run"
    )
    which.add_argument(
        "--tag",
        action="append",
        type=argument_types.tag,
        metavar="KEY=PATTERN",
        help="freeform tag and pattern for its value; may be repeated",
    )
    how = add.add_argument_group("what happens to them")
    how.add_argument(
        "--outcome",
        choices=[str(state) for state in OUTCOMES],
        metavar="STATE",
        help="state in which the runs end; IN_PROGRESS: they do not end",
    )
    how.add_argument("--state", metavar="NAME", help="state to show instead of IN_PROGRESS, such as PAUSING")
    how.add_argument("--startup", type=argument_types.duration, metavar="DURATION", help="time in ACCEPTED")
    how.add_argument(
        "--duration", type=argument_types.duration, metavar="DURATION", help="time in IN_PROGRESS"
    )
    how.add_argument(
        "--cancel-duration", type=argument_types.duration, metavar="DURATION", help="time in CANCELING"
    )
    how.add_argument("--details", metavar="TEXT", help="lifecycleDetails of the ended run")
    how.add_argument("--stdout", metavar="TEXT", help="stdout of the application")
    how.add_argument("--stderr", metavar="TEXT", help="stderr of the application")
    how.add_argument("--bytes-read", metavar="N", help="dataReadInBytes")
    how.add_argument("--bytes-written", metavar="N", help="dataWrittenInBytes")
    rule.add("list", simulation_commands.rule_list, "list the rules, and how many runs matched each")
    rule.add("clear", simulation_commands.rule_clear, "remove all rules")


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
