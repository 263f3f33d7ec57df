"""Arguments of the commands about runs and SQL endpoints."""

from __future__ import annotations

from airflow_provider_dataflow.local.cli import argument_types, run_commands, sql_endpoint_commands
from airflow_provider_dataflow.local.cli.command_group import CommandGroup
from airflow_provider_dataflow.models.run import LifecycleState


def add_run_commands(top: CommandGroup) -> None:
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


def add_sql_endpoint_commands(endpoint: CommandGroup) -> None:
    listed = endpoint.add("list", sql_endpoint_commands.list_endpoints, "list the SQL endpoints")
    listed.add_argument("--json", action="store_true", help="print JSON")
    show = endpoint.add(
        "show", sql_endpoint_commands.show, "print a SQL endpoint and its work requests as JSON"
    )
    maintain = endpoint.add(
        "maintain", sql_endpoint_commands.maintain, "maintain an active SQL endpoint, as the service does"
    )
    for parser in (show, maintain):
        parser.add_argument("sql_endpoint_id", type=argument_types.word, metavar="SQL_ENDPOINT_ID")
