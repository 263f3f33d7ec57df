"""Arguments of the commands that control the simulation: fault, rule, clock."""

from __future__ import annotations

from airflow_provider_dataflow.local.cli import argument_types, simulation_commands
from airflow_provider_dataflow.local.cli.command_group import CommandGroup
from airflow_provider_dataflow.local.engines.rules import OUTCOMES
from airflow_provider_dataflow.local.http.faults import FaultKind

_FAULT_EXAMPLES = """kinds:
  lost_response           the request is carried out, then the connection is closed without a response
  drop                    the request is not carried out; the connection is closed
  status                  the request is not carried out; the response has --status (and --code, --message,
                          --retry-after)
  deny                    404 as for a missing policy: to all requests, or to those for --resource-id, which
                          may also be a compartment, a bucket, or a resource that the body names
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
  dataflow-local fault add deny --operation CreateRun     no policy to submit runs
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


def add_fault_commands(fault: CommandGroup) -> None:
    add = fault.add("add", simulation_commands.fault_add, "add a fault", _FAULT_EXAMPLES)
    add.add_argument("kind", choices=[str(kind) for kind in FaultKind], metavar="KIND", help="see below")
    which = add.add_argument_group("which requests")
    which.add_argument(
        "--operation", metavar="PATTERN", help="operation, such as CreateRun or '*Run' (default: all)"
    )
    which.add_argument(
        "--resource-id",
        type=argument_types.resource,
        metavar="OCID",
        help="resource that the request names; also oci://BUCKET@NAMESPACE/OBJECT",
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


def add_rule_commands(rule: CommandGroup) -> None:
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


def add_clock_commands(clock: CommandGroup) -> None:
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
