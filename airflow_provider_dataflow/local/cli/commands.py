"""What the commands of ``dataflow-local`` do; ``cli`` has what they take."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import re
import sys
import time
from typing import Any

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.cli.connection_text import (
    connection_line,
    oci_cli_line,
    sdk_lines,
    write_oci_config,
)
from airflow_provider_dataflow.local.cli.remote_server import Refused, Remote
from airflow_provider_dataflow.local.cli.terminal import paint
from airflow_provider_dataflow.local.state.buckets import DEFAULT_NAMESPACE, parse_uri
from airflow_provider_dataflow.local.state.home import Home, HomeInUse, ServerInfo
from airflow_provider_dataflow.models.run import is_terminal

DEFAULT_PORT = 8170
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?\Z")


class CommandError(Exception):
    """To be shown, without a traceback."""


def seconds(text: str) -> float:
    """``90``, ``90s``, ``15m``, ``1h30m``, ``2d``

    :raises ValueError: it is none of these
    """
    match = _DURATION.match(text)
    if match is None or not text:
        raise ValueError(text)
    days, hours, minutes, rest = (float(group or 0) for group in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _remote(home: Home) -> Remote:
    info = home.info()
    if info is None:
        raise CommandError(f"No server runs with the home {home.path}. Start one: dataflow-local serve")
    return Remote(info.endpoint)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


# The server


class _Formatter(logging.Formatter):
    """Lets what happens to runs stand out."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if not terminal.has_colours(sys.stderr):
            return line
        return re.sub(r"\bis ([A-Z_]{6,})", lambda m: f"is {terminal.state(m[1])}", line)


def serve(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.cli.flags import options_from
    from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled
    from airflow_provider_dataflow.local.http.server import Settings
    from airflow_provider_dataflow.local.http.server import serve as serve_until_stopped
    from airflow_provider_dataflow.local.state.options import ClockName, EngineName

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
        print("\nStop with Ctrl-C.", flush=True)

    settings = Settings(
        port=arguments.port,
        max_concurrent_runs=arguments.max_concurrent_runs,
        warm=not arguments.no_warm,
        options=options_from(arguments),
        engine=EngineName(arguments.engine),
        clock=ClockName(arguments.clock),
        exit_with_stdin=arguments.exit_with_stdin,
    )
    try:
        serve_until_stopped(home, settings, announce)
    except (HomeInUse, NotInstalled) as e:
        raise CommandError(str(e)) from None
    except OSError as e:
        raise CommandError(f"Cannot serve on port {arguments.port}: {e.strerror}.") from None


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
    health = remote.call("GET", "health")
    if arguments.json:
        _print_json({"endpoint": remote.endpoint, "home": str(home.path), **health})
        return
    runs = health["runs"]
    engine = " ".join(str(part) for part in (health["engine"], health.get("sparkVersion")) if part)
    print(
        f"{paint(remote.endpoint, 'bold')} is {paint('up', 'green')} (pid {health['pid']}, engine {engine})"
    )
    print(
        f"runs: {runs['active']} of {runs['limit']} active, {runs['waiting']} waiting, {runs['total']} in all"
    )
    print(f"time: {health['time']}\nhome: {home.path}\nconsole: {remote.endpoint}/console/")


def reset(home: Home, arguments: argparse.Namespace) -> None:
    _remote(home).call("POST", "reset")
    print("Runs, applications, pools, faults, rules and the journal are gone; buckets and identity are kept.")


def connection(home: Home, arguments: argparse.Namespace) -> None:
    info = home.info()
    if arguments.port:
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
    if arguments.bucket is None:
        for found in home.buckets.all():
            print(f"oci://{found.authority}/  {home.buckets.path(found.namespace, found.bucket)}")
        return
    name = arguments.bucket.removeprefix("oci://").rstrip("/")
    try:
        uri = parse_uri(f"oci://{name if '@' in name else f'{name}@{DEFAULT_NAMESPACE}'}/")
    except ValueError as e:
        raise CommandError(f"{e}.") from None
    print(home.buckets.create(uri.namespace, uri.bucket))


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
    remote = _remote(home)
    name = arguments.name or f"spark_application_{'stderr' if arguments.stderr else 'stdout'}.log.gz"
    if arguments.list:
        print("\n".join(_run(remote, arguments.run_id)["logs"]))
        return
    progress = terminal.Progress()
    shown = 0
    while True:
        run = _run(remote, arguments.run_id)
        ended = is_terminal(run["lifecycleState"])
        content = _log(remote, arguments.run_id, name)
        if content is None and (ended or not arguments.follow):
            raise CommandError("There is no such run, or it has no such log.")
        if content is not None and len(content) > shown:
            progress.clear()
            sys.stdout.write(content[shown:].decode(errors="replace"))
            sys.stdout.flush()
            shown = len(content)
        if ended or not arguments.follow:
            break
        progress.show(f"{run['lifecycleState']} {_duration(run)}")
        time.sleep(1)
    progress.clear()
    if arguments.follow:
        details = run["lifecycleDetails"] or ""
        print(f"The run is {run['lifecycleState']}. {terminal.printable(details)}".rstrip(), file=sys.stderr)


def _run(remote: Remote, run_id: str) -> dict[str, Any]:
    try:
        run: dict[str, Any] = remote.call("GET", f"runs/{run_id}")
    except Refused as e:
        raise CommandError(f"There is no such run: {run_id}") from None if e.status == 404 else e
    return run


def _log(remote: Remote, run_id: str, name: str) -> bytes | None:
    try:
        return remote.read(f"runs/{run_id}/logs/{name}")
    except Refused as e:
        if e.status != 404:
            raise
        return None


def cancel(home: Home, arguments: argparse.Namespace) -> None:
    remote = _remote(home)
    for run_id in arguments.run_id:
        state = _run(remote, run_id)["lifecycleState"]
        if is_terminal(state):
            raise CommandError(f"{run_id} has ended already: it is {state}.")
        remote.cancel(home.identity(), run_id)
        progress = terminal.Progress()
        while not is_terminal(state := _run(remote, run_id)["lifecycleState"]) and arguments.wait:
            progress.show(state)
            time.sleep(0.3)
        progress.clear()
        print(f"{run_id}  {terminal.state(state)}")


def move(home: Home, arguments: argparse.Namespace) -> None:
    remote = _remote(home)
    _run(remote, arguments.run_id)
    remote.call("PUT", f"runs/{arguments.run_id}", {"compartmentId": arguments.compartment_id})


# Faults, rules, the clock


def fault_add(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.http.faults import Fault

    names = [f.name for f in dataclasses.fields(Fault) if f.name != "kind"]
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    try:
        fault = Fault.of(arguments.kind, **given)
    except ValueError as e:
        raise CommandError(f"{e}.") from None
    answer = _remote(home).call("POST", "faults", fault.as_json())
    print(f"fault {answer['id']}: {_described(fault.as_json())}")


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
    _remote(home).call("DELETE", "faults", **({} if arguments.id is None else {"id": arguments.id}))


def rule_add(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.engines.rules import Course, Rule

    names = [f.name for f in dataclasses.fields(Course)]
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    try:
        tags = dict(tag.split("=", 1) for tag in arguments.tag or [])
        rule = Rule(
            attempts=[Course(**given)],
            display_name=arguments.name,
            application_id=arguments.application_id,
            freeform_tags=tags,
        )
    except ValueError as e:
        raise CommandError(f"{e}.") from None
    _remote(home).call("POST", "rules", rule.as_json())
    print(f"rule 1: {json.dumps(rule.as_json(), ensure_ascii=False)}")


def rule_list(home: Home, arguments: argparse.Namespace) -> None:
    for number, rule in enumerate(_remote(home).call("GET", "rules"), 1):
        matched = rule.pop("matched", 0)
        shown = json.dumps(rule, ensure_ascii=False)
        print(f"{number:>3}  {shown}  {paint(f'matched {matched} runs', 'grey')}")


def rule_clear(home: Home, arguments: argparse.Namespace) -> None:
    _remote(home).call("PUT", "rules", [])


def clock_show(home: Home, arguments: argparse.Namespace) -> None:
    _print_clock(_remote(home).call("GET", "clock"))


def clock_advance(home: Home, arguments: argparse.Namespace) -> None:
    body = {"to_next": True} if arguments.by == "next" else {"advance": seconds_or_error(arguments.by)}
    _print_clock(_remote(home).call("POST", "clock", body))


def seconds_or_error(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        raise CommandError(f"{text!r} is no duration. Say it like 90, 15m, 1h30m or 2d, or next.") from None


def _print_clock(clock: dict[str, Any]) -> None:
    from airflow_provider_dataflow.local.state.clock import rfc3339

    print(rfc3339(clock["epoch"]))
