"""``dataflow-local``: serve, and look at what a server does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from airflow_provider_dataflow.local.cli import commands
from airflow_provider_dataflow.local.cli.commands import DEFAULT_PORT, CommandError
from airflow_provider_dataflow.local.cli.flags import add_flags, positive
from airflow_provider_dataflow.local.cli.remote_server import Refused
from airflow_provider_dataflow.local.state.home import DEFAULT_HOME, HOME_VARIABLE, Home
from airflow_provider_dataflow.models.run import LifecycleState

_EXAMPLES = """examples:
  dataflow-local serve                                  real Spark, until Ctrl-C
  dataflow-local serve --engine scripted --port 0       runs only pretend, on any free port
  dataflow-local runs --state FAILED
  dataflow-local logs RUN_ID --follow
  dataflow-local fault add status --status 429 --retry-after 3 --operation GetRun --count 5
  dataflow-local rule add --name 'etl-*' --outcome FAILED --details 'no such month'
  eval "export $(dataflow-local connection)"            for an Airflow in the same shell
"""
_SERVE_EXAMPLES = """examples:
  dataflow-local serve --max-concurrent-runs 1          a second run waits in ACCEPTED
  dataflow-local serve --engine scripted --clock manual time stands still until "clock advance"
  dataflow-local serve --no-verify                      for clients that cannot sign
  dataflow-local serve --replay conflict --max-live-runs-per-compartment 10
"""
_FAULT_EXAMPLES = """kinds:
  lost_response           carried out, and then no answer
  drop                    not carried out, the connection is closed
  status                  not carried out, answered with --status (and --code, --message, --retry-after)
  vanish                  404 to all that is asked of --resource-id, which is in no list any more
  not_found_after_create  404 until a resource is --seconds old
  replay_conflict         409 to a retry token that was used before
  limit_exceeded          400 LimitExceeded to a new run while --limit have not ended
  late                    carried out, and answered, only after --seconds, if the client is still there
  slow                    carried out at once, answered after --seconds
  slow_body               the body takes --seconds
  truncated_body          the connection is closed after --bytes of the body
  clock_skew              the service's clock is --seconds ahead

examples:
  dataflow-local fault add lost_response --operation CreateRun --count 1
  dataflow-local fault add status --status 503 --probability 0.2 --seed 7 --for 10m
  dataflow-local fault add drop --in 1m --for 20m         an outage
  dataflow-local fault add late --seconds 20 --operation DeleteRun
  dataflow-local fault add not_found_after_create --operation GetRun --seconds 5
"""
_RULE_EXAMPLES = """A rule says how runs of the scripted engine go. The newest that matches decides.

examples:
  dataflow-local rule add --outcome SUCCEEDED --duration 20m
  dataflow-local rule add --name 'etl-*' --outcome FAILED --details 'no such month: 2013-13'
  dataflow-local rule add --tag team=weather --startup 5m --stdout 'rows: 3'
"""

Command = Callable[[Home, argparse.Namespace], None]


class _Commands:
    """Adds commands, each with ``--home``."""

    def __init__(self, parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")
        self._common = common

    def add(
        self, name: str, function: Command | None, help: str, examples: str | None = None
    ) -> argparse.ArgumentParser:
        """:param function: ``None`` for one that has commands of its own"""
        parser = self._commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[] if function is None else [self._common],
        )
        if function is not None:
            parser.set_defaults(function=function)
        return parser


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dataflow-local",
        description="OCI Data Flow on this machine: its API on loopback, runs on real Spark or by a script.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME),
        help=f"the folder that holds everything (default: ${HOME_VARIABLE} or {DEFAULT_HOME})",
    )
    top = _Commands(parser, common)
    _add_server_commands(top)
    _add_run_commands(top)
    _add_fault_commands(_Commands(top.add("fault", None, "let the service misbehave"), common))
    _add_rule_commands(_Commands(top.add("rule", None, "say how runs of the scripted engine go"), common))
    clock = _Commands(top.add("clock", None, "show or move the server's time"), common)
    clock.add("show", commands.clock_show, "print the server's time")
    advance = clock.add("advance", commands.clock_advance, "move a manual clock; what falls due happens")
    advance.add_argument("by", metavar="DURATION", help="as in 90, 15m, 1h30m, 2d; or: next, to what is next")
    return parser


def _add_server_commands(top: _Commands) -> None:
    serve = top.add("serve", commands.serve, "serve until Ctrl-C", _SERVE_EXAMPLES)
    serve.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="0 takes any that is free (default: %(default)s)"
    )
    serve.add_argument(
        "--engine",
        choices=("spark", "scripted"),
        default="spark",
        help="spark runs applications; scripted only says how they went (default: %(default)s)",
    )
    serve.add_argument(
        "--clock",
        choices=("system", "manual"),
        default="system",
        help='manual stands still until "clock advance" (default: %(default)s)',
    )
    serve.add_argument(
        "--max-concurrent-runs", type=positive, metavar="N", help="others wait (default: by machine)"
    )
    serve.add_argument("--no-warm", action="store_true", help="do not make the class-data archive when idle")
    serve.add_argument("--exit-with-stdin", action="store_true", help="end when stdin ends")
    serve.add_argument("--quiet", action="store_true", help="say nothing but warnings")
    add_flags(serve.add_argument_group("how the service behaves, where that is not published or can be set"))
    status = top.add("status", commands.status, "say whether a server runs, and how many runs")
    status.add_argument("--json", action="store_true", help="for programs")
    top.add("reset", commands.reset, "forget all runs and other resources, faults and rules")
    connection = top.add("connection", commands.connection, "print what to paste to reach the server")
    connection.add_argument("--port", type=int, help="of a server that does not run yet")
    connection.add_argument(
        "--for",
        dest="form",
        choices=("airflow", "oci", "sdk"),
        default="airflow",
        help="Airflow's environment, the oci CLI, or Python's SDK (default: %(default)s)",
    )
    bucket = top.add("bucket", commands.bucket, "create a bucket and print its folder, or list all")
    bucket.add_argument("bucket", nargs="?", metavar="NAME[@NAMESPACE]")
    top.add("warm", commands.warm, "make now what halves the start of runs (half a minute, once per machine)")


def _add_run_commands(top: _Commands) -> None:
    runs = top.add("runs", commands.runs, "list the newest runs")
    runs.add_argument(
        "--limit", type=positive, default=20, metavar="N", help="how many (default: %(default)s)"
    )
    runs.add_argument("--state", choices=list(LifecycleState), metavar="STATE", help="only those in it")
    runs.add_argument("--json", action="store_true", help="for programs")
    logs = top.add("logs", commands.logs, "show a log of a run")
    logs.add_argument("run_id", metavar="RUN_ID")
    logs.add_argument("--name", help="the name of the log (default: the application's stdout)")
    logs.add_argument("--stderr", action="store_true", help="the application's stderr")
    logs.add_argument("--follow", "-f", action="store_true", help="until the run has ended")
    logs.add_argument("--list", "-l", action="store_true", help="only the names")
    cancel = top.add("cancel", commands.cancel, "cancel runs, by a request like that of any other client")
    cancel.add_argument("run_id", nargs="+", metavar="RUN_ID")
    cancel.add_argument("--wait", action="store_true", help="until they have ended")

    move = top.add("move", commands.move, "move a run to another compartment, whatever its state")
    move.add_argument("run_id", metavar="RUN_ID")
    move.add_argument("compartment_id", metavar="COMPARTMENT_ID")


def _add_fault_commands(fault: _Commands) -> None:
    add = fault.add("add", commands.fault_add, "misbehave from now on", _FAULT_EXAMPLES)
    add.add_argument("kind", metavar="KIND", help="see below")
    which = add.add_argument_group("which requests")
    which.add_argument("--operation", metavar="PATTERN", help="such as CreateRun or '*Run' (default: all)")
    which.add_argument("--resource-id", metavar="OCID", help="of the resource that is asked for")
    which.add_argument("--user", metavar="PATTERN", help="the OCID of who asks")
    often = add.add_argument_group("how often")
    often.add_argument("--count", type=int, metavar="N", help="so many requests (default: all)")
    often.add_argument("--after", type=int, metavar="N", help="spare so many first")
    often.add_argument("--probability", type=float, metavar="P", help="from 0 to 1")
    often.add_argument("--seed", type=int, metavar="N", help="the same one, the same requests")
    often.add_argument(
        "--in", dest="in_seconds", type=commands.seconds, metavar="DURATION", help="begin only then"
    )
    often.add_argument("--for", dest="for_seconds", type=commands.seconds, metavar="DURATION")
    how = add.add_argument_group("how")
    how.add_argument("--status", type=int, metavar="N")
    how.add_argument("--code")
    how.add_argument("--message")
    how.add_argument("--retry-after", type=float, metavar="SECONDS")
    how.add_argument("--seconds", type=float, metavar="SECONDS")
    how.add_argument("--limit", type=int, metavar="N")
    how.add_argument("--bytes", type=int, metavar="N")
    fault.add("list", commands.fault_list, "list the faults, and how often each was applied")
    clear = fault.add("clear", commands.fault_clear, "behave again")
    clear.add_argument("id", nargs="?", metavar="ID", help="only this one")


def _add_rule_commands(rule: _Commands) -> None:
    add = rule.add("add", commands.rule_add, "add a rule, before the others", _RULE_EXAMPLES)
    which = add.add_argument_group("which runs")
    which.add_argument("--name", metavar="PATTERN", help="of their display name")
    which.add_argument("--application-id", metavar="OCID")
    which.add_argument("--tag", action="append", metavar="KEY=PATTERN", help="may be repeated")
    how = add.add_argument_group("how they go")
    how.add_argument("--outcome", metavar="STATE", help="their end; IN_PROGRESS: none")
    how.add_argument("--state", metavar="NAME", help="instead of IN_PROGRESS, such as PAUSING")
    how.add_argument("--startup", type=commands.seconds, metavar="DURATION", help="in ACCEPTED")
    how.add_argument("--duration", type=commands.seconds, metavar="DURATION", help="in IN_PROGRESS")
    how.add_argument("--cancel-duration", type=commands.seconds, metavar="DURATION", help="in CANCELING")
    how.add_argument("--details", metavar="TEXT", help="lifecycleDetails at the end")
    how.add_argument("--stdout", metavar="TEXT", help="what the application writes")
    how.add_argument("--stderr", metavar="TEXT")
    how.add_argument("--bytes-read", type=int, metavar="N")
    how.add_argument("--bytes-written", type=int, metavar="N")
    rule.add("list", commands.rule_list, "list the rules, and how many runs matched each")
    rule.add("clear", commands.rule_clear, "remove all rules")


def main(argv: list[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    try:
        arguments.function(Home(arguments.home), arguments)
    except (CommandError, Refused) as e:
        print(f"dataflow-local: {' '.join(str(e).split())}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0
