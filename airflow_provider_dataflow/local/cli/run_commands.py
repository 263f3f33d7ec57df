"""Commands about runs: runs, logs, cancel, maintain, move."""

from __future__ import annotations

import argparse
import codecs
import sys
import time
from typing import Any

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.cli.command_errors import CommandError, UsageError
from airflow_provider_dataflow.local.cli.home_server import connect
from airflow_provider_dataflow.local.cli.server_client import RequestFailed, ServerClient
from airflow_provider_dataflow.local.cli.terminal import print_json, print_text
from airflow_provider_dataflow.local.engines.json_fields import shown
from airflow_provider_dataflow.local.http.error_messages import did_you_mean
from airflow_provider_dataflow.local.state.home import Home
from airflow_provider_dataflow.models.run import is_terminal


def runs(home: Home, arguments: argparse.Namespace) -> None:
    query = {} if arguments.state is None else {"state": arguments.state}
    found = connect(home).call("GET", "runs", limit=str(arguments.limit), **query)
    if arguments.json:
        print_json(found)
        return
    for run in found:
        name, details = run["displayName"] or "", run["lifecycleDetails"] or ""
        text = terminal.printable(f"{name}  {details}".rstrip())
        state = terminal.paint_state(run["lifecycleState"], 11)
        print(f"{run['id']}  {state}  {_duration(run):>9}  {text}".rstrip())


def _duration(run: dict[str, Any]) -> str:
    milliseconds = run["runDurationInMilliseconds"]
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def logs(home: Home, arguments: argparse.Namespace) -> None:
    if arguments.list and arguments.follow:
        raise UsageError("--follow is not allowed with --list")
    server = connect(home)
    if arguments.list:
        for name in _get_run(server, arguments.run_id)["logs"]:
            print_text(f"{name}\n")
        return
    name = arguments.name or f"spark_application_{'stderr' if arguments.stderr else 'stdout'}.log.gz"
    progress = terminal.ProgressLine()
    try:
        run = _print_log(server, arguments.run_id, name, arguments.follow, progress)
    finally:
        progress.clear()
    if arguments.follow and sys.stderr is not None:
        details = run["lifecycleDetails"] or ""
        print(f"The run is {run['lifecycleState']}. {terminal.printable(details)}".rstrip(), file=sys.stderr)


def _print_log(
    server: ServerClient, run_id: str, name: str, follow: bool, progress: terminal.ProgressLine
) -> dict[str, Any]:
    """Print a log and return the run. With ``follow``, print what is added until the run has ended.

    :raises CommandError: the run or the log does not exist
    """
    printed = 0
    # A multi-byte character may arrive in two parts.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        run = _get_run(server, run_id)
        is_last = is_terminal(run["lifecycleState"]) or not follow
        content = _get_log(server, run_id, name)
        if content is None and is_last:
            raise CommandError(_missing_log_message(run, name))
        if content is not None and (len(content) > printed or is_last):
            progress.clear()
            print_text(decoder.decode(content[printed:], is_last))
            printed = len(content)
        if is_last:
            return run
        progress.show(f"{run['lifecycleState']} {_duration(run)}")
        time.sleep(1)


def _missing_log_message(run: dict[str, Any], name: str) -> str:
    if not run["logs"]:
        return f"The run has no logs yet. It is {run['lifecycleState']}."
    suggestion = did_you_mean(name, run["logs"])
    return f"The run has no log {name!r}; it has {', '.join(run['logs'])}.{suggestion}"


def _get_run(server: ServerClient, run_id: str) -> dict[str, Any]:
    """Return a run.

    :raises CommandError: it does not exist
    """
    try:
        run: dict[str, Any] = server.call("GET", "runs", run_id)
    except RequestFailed as e:
        if e.status != 404:
            raise
        raise CommandError(f"There is no run {shown(run_id)}.") from None
    return run


def _get_log(server: ServerClient, run_id: str, name: str) -> bytes | None:
    """Return the content of a log; ``None``: it does not exist."""
    try:
        return server.read("runs", run_id, "logs", name)
    except RequestFailed as e:
        if e.status != 404:
            raise
        return None


def cancel(home: Home, arguments: argparse.Namespace) -> None:
    server = connect(home)
    run_ids = list(dict.fromkeys(arguments.run_id))
    # Check all ids first, so that nothing is cancelled if one of them is wrong.
    for run_id in run_ids:
        state = _get_run(server, run_id)["lifecycleState"]
        if is_terminal(state):
            raise CommandError(f"The run {run_id} has already ended: it is {state}.")
    for run_id in run_ids:
        server.cancel(home.identity(), run_id)
        progress = terminal.ProgressLine()
        try:
            while not is_terminal(state := _get_run(server, run_id)["lifecycleState"]) and arguments.wait:
                progress.show(state)
                time.sleep(0.3)
        finally:
            progress.clear()
        print(f"{run_id}  {terminal.paint_state(state)}")


def maintain(home: Home, arguments: argparse.Namespace) -> None:
    server = connect(home)
    _get_run(server, arguments.run_id)
    body = {"successorAfter": arguments.successor_after, "copyTags": arguments.copy_tags}
    run = server.call("POST", "runs", arguments.run_id, "maintain", body=body)
    print(f"{arguments.run_id}  {terminal.paint_state(run['lifecycleState'])}")


def move(home: Home, arguments: argparse.Namespace) -> None:
    server = connect(home)
    _get_run(server, arguments.run_id)
    server.call("PUT", "runs", arguments.run_id, body={"compartmentId": arguments.compartment_id})
