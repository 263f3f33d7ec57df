"""The commands of ``dataflow-local``. Their arguments are in ``cli``."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import dataclasses
import json
import logging
import os
import re
import sys
import time
from typing import Any

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.cli.arguments import shown
from airflow_provider_dataflow.local.cli.connection_text import (
    connection_line,
    oci_cli_line,
    sdk_lines,
    write_oci_config,
)
from airflow_provider_dataflow.local.cli.flags import options_from
from airflow_provider_dataflow.local.cli.remote_server import Refused, Remote
from airflow_provider_dataflow.local.cli.terminal import paint
from airflow_provider_dataflow.local.engines.rules import Course, FieldError, Rule
from airflow_provider_dataflow.local.http.suggestions import did_you_mean
from airflow_provider_dataflow.local.state.home import Home, ServerInfo
from airflow_provider_dataflow.models.run import is_terminal

DEFAULT_PORT = 8170


class CommandError(Exception):
    """The command failed; the message is shown on one line, and the exit code is 1."""


class UsageError(Exception):
    """The arguments contradict each other; the message is shown on one line, and the exit code is 2."""


def _remote(home: Home) -> Remote:
    """Return the server of this home.

    :raises CommandError: there is none, or another server answers at its port
    """
    info = home.info()
    if info is None:
        raise CommandError(f"No server runs with the home {home.path}. Start one: dataflow-local serve")
    remote = Remote(info.endpoint)
    # After a crash, the port may belong to the server of another home by now.
    pid = remote.health()["pid"]
    if pid != info.pid:
        raise CommandError(
            f"The server with the home {home.path} (pid {info.pid}) is gone; the one that answers at "
            f"{info.endpoint} (pid {pid}) has another home. Start one: dataflow-local serve"
        )
    return remote


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


# The server


class _Formatter(logging.Formatter):
    """Colours the states of runs."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if not terminal.has_colours(sys.stderr):
            return line
        return re.sub(r"\bis ([A-Z_]{6,})", lambda m: f"is {terminal.state(m[1])}", line)


def serve(home: Home, arguments: argparse.Namespace) -> None:
    # The web server is imported only where it is needed.
    from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled
    from airflow_provider_dataflow.local.http.server import PortUnusable, Settings
    from airflow_provider_dataflow.local.http.server import serve as serve_until_stopped
    from airflow_provider_dataflow.local.state.options import ClockName, EngineName

    if arguments.exit_with_stdin and sys.stdin is None:
        raise UsageError("--exit-with-stdin needs a stdin, but it is closed")
    try:
        options = options_from(arguments)
    except FieldError as e:
        raise _usage_error(e, arguments) from None

    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING if arguments.quiet else logging.INFO, handlers=[handler])

    def announce(info: ServerInfo, engine: Any) -> None:
        if arguments.quiet:
            return
        print(f"Local Data Flow serves {paint(info.endpoint, 'bold')} ({engine.describe()}).")
        print(f"Home:    {home.path}")
        print(f"Buckets: {home.buckets.root}/<namespace>/<bucket> is oci://<bucket>@<namespace>/")
        print(f"Console: {info.endpoint}/console/")
        _print_pastes(home, info.endpoint)
        print("\nStop with Ctrl-C.")

    def announce_if_read(info: ServerInfo, engine: Any) -> None:
        # The server goes on if nobody reads what it prints, as before "| head -1", or the disk is full.
        try:
            announce(info, engine)
            flush_stdout()
        except OSError as e:
            logging.getLogger(__name__).info("The server runs, but its configuration was not printed: %s", e)

    settings = Settings(
        port=arguments.port,
        max_concurrent_runs=arguments.max_concurrent_runs,
        warm=not arguments.no_warm,
        options=options,
        engine=EngineName(arguments.engine),
        clock=ClockName(arguments.clock),
        exit_with_stdin=arguments.exit_with_stdin,
    )
    try:
        serve_until_stopped(home, settings, announce_if_read)
    except (NotInstalled, PortUnusable) as e:
        raise CommandError(str(e)) from None


def flush_stdout() -> None:
    """Write what is buffered; what cannot be written is discarded, so that Python does not try it again.

    :raises OSError: the program that reads it has ended, or its disk is full, for example
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _print_pastes(home: Home, endpoint: str) -> None:
    identity = home.identity()
    config = write_oci_config(identity, home.path / "identity")

    def title(text: str) -> None:
        print(f"\n{paint(text, 'bold')}\n")

    title("For Airflow, paste this into its environment:")
    print(connection_line(identity, endpoint))
    title("For the oci CLI, for example:")
    print(oci_cli_line(identity, endpoint, config))
    title("For the oci SDK:")
    print(sdk_lines(identity, endpoint, config).rstrip())


def status(home: Home, arguments: argparse.Namespace) -> None:
    remote = _remote(home)
    health = remote.health()
    if arguments.json:
        _print_json({"endpoint": remote.endpoint, "home": str(home.path), **health})
        return
    runs = health["runs"]
    engine = " ".join(str(part) for part in (health["engine"], health.get("sparkVersion")) if part)
    print(
        f"{paint(remote.endpoint, 'bold')} is {paint('up', 'green')} (pid {health['pid']}, engine {engine})"
    )
    limit = "" if runs["limit"] is None else f" of {runs['limit']}"
    print(f"runs: {runs['active']}{limit} active, {runs['waiting']} waiting, {runs['total']} in all")
    print(f"time: {health['time']}\nhome: {home.path}\nconsole: {remote.endpoint}/console/")


def reset(home: Home, arguments: argparse.Namespace) -> None:
    _remote(home).call("POST", "reset")
    print("Runs, applications, pools, faults, rules and the journal are gone; buckets and identity are kept.")


def connection(home: Home, arguments: argparse.Namespace) -> None:
    info = home.info()
    if arguments.port is not None:
        endpoint = f"http://127.0.0.1:{arguments.port}"
    else:
        endpoint = f"http://127.0.0.1:{DEFAULT_PORT}" if info is None else info.endpoint
    identity = home.identity()
    config = write_oci_config(identity, home.path / "identity")
    match arguments.form:
        case "oci":
            print(oci_cli_line(identity, endpoint, config))
        case "sdk":
            print(sdk_lines(identity, endpoint, config), end="")
        case _:
            print(connection_line(identity, endpoint))


def bucket(home: Home, arguments: argparse.Namespace) -> None:
    if arguments.bucket is not None:
        home.create()
        try:
            print(home.buckets.create(arguments.bucket.namespace, arguments.bucket.bucket))
        except OSError as e:
            raise home.unusable(e) from None
        return
    home.info()  # a home that cannot be read is an error, and not one without buckets
    for found in home.buckets.all():
        print(f"oci://{found.authority}/  {home.buckets.path(found.namespace, found.bucket)}")


def warm(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.engines.spark.engine import SparkEngine
    from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled

    home.create()
    try:
        with terminal.working("Making the class-data archive"):
            ready = SparkEngine(home.path, home.buckets, limit=1, warm=False).warm_up()
    except NotInstalled as e:
        raise CommandError(str(e)) from None
    if not ready:
        raise CommandError(
            "The class-data archive could not be made; runs work without it, but start slower."
        )
    print("The class-data archive is ready.")


# Runs


def runs(home: Home, arguments: argparse.Namespace) -> None:
    query = {} if arguments.state is None else {"state": arguments.state}
    found = _remote(home).call("GET", "runs", limit=str(arguments.limit), **query)
    if arguments.json:
        _print_json(found)
        return
    for run in found:
        name, details = run["displayName"] or "", run["lifecycleDetails"] or ""
        shown = terminal.printable(f"{name}  {details}".rstrip())
        print(
            f"{run['id']}  {terminal.state(run['lifecycleState'], 11)}  {_duration(run):>9}  {shown}".rstrip()
        )


def _duration(run: dict[str, Any]) -> str:
    milliseconds = run["runDurationInMilliseconds"]
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def logs(home: Home, arguments: argparse.Namespace) -> None:
    if arguments.list and arguments.follow:
        raise UsageError("--follow is not allowed with --list")
    remote = _remote(home)
    if arguments.list:
        for name in _run(remote, arguments.run_id)["logs"]:
            _print_text(f"{name}\n")
        return
    name = arguments.name or f"spark_application_{'stderr' if arguments.stderr else 'stdout'}.log.gz"
    progress = terminal.Progress()
    try:
        run = _print_log(remote, arguments.run_id, name, arguments.follow, progress)
    finally:
        progress.clear()
    if arguments.follow and sys.stderr is not None:
        details = run["lifecycleDetails"] or ""
        print(f"The run is {run['lifecycleState']}. {terminal.printable(details)}".rstrip(), file=sys.stderr)


def _print_log(
    remote: Remote, run_id: str, name: str, follow: bool, progress: terminal.Progress
) -> dict[str, Any]:
    """Print a log, with ``follow`` until the run has ended; return the run.

    :raises CommandError: there is no such run or log
    """
    printed = 0
    # A character of several bytes may be written in two parts.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        run = _run(remote, run_id)
        is_last = is_terminal(run["lifecycleState"]) or not follow
        content = _log(remote, run_id, name)
        if content is None and is_last:
            raise CommandError(_no_such_log(run, name))
        if content is not None and (len(content) > printed or is_last):
            progress.clear()
            _print_text(decoder.decode(content[printed:], is_last))
            printed = len(content)
        if is_last:
            return run
        progress.show(f"{run['lifecycleState']} {_duration(run)}")
        time.sleep(1)


def _no_such_log(run: dict[str, Any], name: str) -> str:
    if not run["logs"]:
        return f"The run has no logs yet: it is {run['lifecycleState']}."
    near = did_you_mean(name, run["logs"])
    return f"The run has no log {name!r}; it has {', '.join(run['logs'])}.{near}"


def _print_text(text: str) -> None:
    if sys.stdout is not None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _run(remote: Remote, run_id: str) -> dict[str, Any]:
    """:raises CommandError: there is no such run"""
    try:
        run: dict[str, Any] = remote.call("GET", "runs", run_id)
    except Refused as e:
        if e.status != 404:
            raise
        raise CommandError(f"There is no such run: {shown(run_id)}.") from None
    return run


def _log(remote: Remote, run_id: str, name: str) -> bytes | None:
    try:
        return remote.read("runs", run_id, "logs", name)
    except Refused as e:
        if e.status != 404:
            raise
        return None


def cancel(home: Home, arguments: argparse.Namespace) -> None:
    remote = _remote(home)
    run_ids = list(dict.fromkeys(arguments.run_id))
    # All are looked up first, so that a wrong one does not leave half of them cancelled.
    for run_id in run_ids:
        state = _run(remote, run_id)["lifecycleState"]
        if is_terminal(state):
            raise CommandError(f"{run_id} has ended already: it is {state}.")
    for run_id in run_ids:
        remote.cancel(home.identity(), run_id)
        progress = terminal.Progress()
        try:
            while not is_terminal(state := _run(remote, run_id)["lifecycleState"]) and arguments.wait:
                progress.show(state)
                time.sleep(0.3)
        finally:
            progress.clear()
        print(f"{run_id}  {terminal.state(state)}")


def move(home: Home, arguments: argparse.Namespace) -> None:
    remote = _remote(home)
    _run(remote, arguments.run_id)
    remote.call("PUT", "runs", arguments.run_id, body={"compartmentId": arguments.compartment_id})


# Faults, rules, the clock


def fault_add(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.http.faults import Fault

    names = [f.name for f in dataclasses.fields(Fault) if f.name != "kind"]
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    try:
        fault = Fault.of(arguments.kind, **given)
        fault.check_operation()
    except FieldError as e:
        raise _usage_error(e, arguments) from None
    answer = _remote(home).call("POST", "faults", body=fault.as_json())
    print(f"fault {answer['id']}: {_described(fault.as_json())}")


def _usage_error(error: FieldError, arguments: argparse.Namespace) -> UsageError:
    """Return the error of a field as one of the option that fills it."""
    option = arguments.parser.option_of(error.field)
    return UsageError(str(error) if option is None else error.with_name(option))


def fault_list(home: Home, arguments: argparse.Namespace) -> None:
    for fault in _remote(home).call("GET", "faults"):
        own = {k: v for k, v in fault.items() if k not in ("id", "matched", "applied", "over")}
        used = f"applied {fault['applied']} times" + (", over" if fault.get("over") else "")
        print(f"{fault['id']:>3}  {_described(own)}  {paint(used, 'grey')}")


def _described(values: dict[str, Any]) -> str:
    kind = values.get("kind", "")
    rest = " ".join(f"{k}={v}" for k, v in values.items() if k != "kind")
    return terminal.printable(f"{kind} {rest}".rstrip())


def fault_clear(home: Home, arguments: argparse.Namespace) -> None:
    remote = _remote(home)
    try:
        remote.call("DELETE", "faults", **({} if arguments.id is None else {"id": arguments.id}))
    except Refused as e:
        if e.status != 404:
            raise
        known = ", ".join(fault["id"] for fault in remote.call("GET", "faults")) or "none"
        raise CommandError(f"There is no fault {arguments.id!r}; the ids of the faults: {known}.") from None


def rule_add(home: Home, arguments: argparse.Namespace) -> None:
    names = [f.name for f in dataclasses.fields(Course)]
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    tags: dict[str, str] = {}
    for key, pattern in arguments.tag or []:
        if key in tags:
            raise UsageError(f"--tag: the key {key!r} is given twice")
        tags[key] = pattern
    try:
        rule = Rule(
            attempts=[Course(**given)],
            display_name=arguments.display_name,
            application_id=arguments.application_id,
            freeform_tags=tags,
        )
    except FieldError as e:
        raise _usage_error(e, arguments) from None
    _remote(home).call("POST", "rules", body=rule.as_json())
    print(f"rule 1: {json.dumps(rule.as_json(), ensure_ascii=False)}")


def rule_list(home: Home, arguments: argparse.Namespace) -> None:
    for number, rule in enumerate(_remote(home).call("GET", "rules"), 1):
        matched = rule.pop("matched", 0)
        shown = json.dumps(rule, ensure_ascii=False)
        print(f"{number:>3}  {shown}  {paint(f'matched {matched} runs', 'grey')}")


def rule_clear(home: Home, arguments: argparse.Namespace) -> None:
    _remote(home).call("PUT", "rules", body=[])


def clock_show(home: Home, arguments: argparse.Namespace) -> None:
    _print_clock(_remote(home).call("GET", "clock"))


def clock_advance(home: Home, arguments: argparse.Namespace) -> None:
    body = {"to_next": True} if arguments.by is None else {"advance": arguments.by}
    _print_clock(_remote(home).call("POST", "clock", body=body))


def _print_clock(clock: dict[str, Any]) -> None:
    from airflow_provider_dataflow.local.state.clock import rfc3339

    print(rfc3339(clock["epoch"]))
