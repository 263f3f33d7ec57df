"""Commands about the server itself: serve, status, reset, connection, bucket, warm."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from typing import Any

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.cli.client_config import (
    connection_line,
    oci_cli_lines,
    ocifs_line,
    sdk_lines,
    terraform_lines,
    write_oci_config,
)
from airflow_provider_dataflow.local.cli.command_errors import CommandError, UsageError, usage_error
from airflow_provider_dataflow.local.cli.home_server import connect
from airflow_provider_dataflow.local.cli.server_options import options_from
from airflow_provider_dataflow.local.cli.terminal import flush_stdout, paint, print_json
from airflow_provider_dataflow.local.engines.json_fields import FieldError
from airflow_provider_dataflow.local.http.server_settings import DEFAULT_PORT, ServerSettings, endpoint_of
from airflow_provider_dataflow.local.state.home import Home, ServerInfo
from airflow_provider_dataflow.local.state.options import ClockName, EngineName


class _StateColouringFormatter(logging.Formatter):
    """Log formatter that colours the states of runs."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if not terminal.has_colours(sys.stderr):
            return line
        return re.sub(r"\bis ([A-Z_]{6,})", lambda m: f"is {terminal.paint_state(m[1])}", line)


def serve(home: Home, arguments: argparse.Namespace) -> None:
    # Imported late: the other commands do not need the web server.
    from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled
    from airflow_provider_dataflow.local.http.server import PortUnusable
    from airflow_provider_dataflow.local.http.server import serve as serve_until_stopped

    if arguments.exit_with_stdin and sys.stdin is None:
        raise UsageError("--exit-with-stdin needs a stdin, but it is closed")
    try:
        options = options_from(arguments)
    except FieldError as e:
        raise usage_error(e, arguments) from None

    handler = logging.StreamHandler()
    handler.setFormatter(_StateColouringFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING if arguments.quiet else logging.INFO, handlers=[handler])

    def announce(info: ServerInfo, engine: Any) -> None:
        if arguments.quiet:
            return
        try:
            _print_announcement(home, info, engine)
            flush_stdout()
        except OSError as e:
            # The server keeps running when stdout is closed, as by "| head -1", or its disk is full.
            logging.getLogger(__name__).info(
                "The server runs, but its configuration could not be printed: %s", e
            )

    settings = ServerSettings(
        port=arguments.port,
        max_concurrent_runs=arguments.max_concurrent_runs,
        warm=not arguments.no_warm,
        options=options,
        engine=EngineName(arguments.engine),
        clock=ClockName(arguments.clock),
        exit_with_stdin=arguments.exit_with_stdin,
    )
    try:
        serve_until_stopped(home, settings, announce)
    except (NotInstalled, PortUnusable) as e:
        raise CommandError(str(e)) from None


def _print_announcement(home: Home, info: ServerInfo, engine: Any) -> None:
    identity = home.identity()
    config = write_oci_config(identity, home.path / "identity")

    def print_title(text: str) -> None:
        print(f"\n{paint(text, 'bold')}\n")

    print(f"Local Data Flow is listening at {paint(info.endpoint, 'bold')} ({engine.describe()}).")
    print(f"Home:    {home.path}")
    print(f"Buckets: {home.buckets.root}/<namespace>/<bucket> is oci://<bucket>@<namespace>/")
    print(f"Console: {info.endpoint}/console/")
    print_title("Airflow: add this to its environment")
    print(connection_line(identity, info.endpoint))
    print_title("oci CLI: for example")
    print(oci_cli_lines(identity, info.endpoint, config).rstrip())
    print_title("oci SDK")
    print(sdk_lines(identity, info.endpoint, config).rstrip())
    print_title("ocifs, pandas: add this to the environment")
    print(ocifs_line(info.endpoint, config))
    print("\nPress Ctrl-C to stop.")


def status(home: Home, arguments: argparse.Namespace) -> None:
    server = connect(home)
    health = server.health()
    if arguments.json:
        print_json({"endpoint": server.endpoint, "home": str(home.path), **health})
        return
    runs = health["runs"]
    engine = " ".join(str(part) for part in (health["engine"], health.get("sparkVersion")) if part)
    print(
        f"{paint(server.endpoint, 'bold')} is {paint('up', 'green')} (pid {health['pid']}, engine {engine})"
    )
    limit = "" if runs["limit"] is None else f" of {runs['limit']}"
    print(f"runs: {runs['active']}{limit} active, {runs['waiting']} waiting, {runs['total']} in all")
    print(f"time: {health['time']}\nhome: {home.path}\nconsole: {server.endpoint}/console/")


def reset(home: Home, arguments: argparse.Namespace) -> None:
    connect(home).call("POST", "reset")
    print(
        "Deleted all runs and other resources, faults, rules and the journal. Buckets and identity are kept."
    )


def connection(home: Home, arguments: argparse.Namespace) -> None:
    info = home.info()
    if arguments.port is not None or info is None:
        endpoint = endpoint_of(arguments.port or DEFAULT_PORT)
    else:
        endpoint = info.endpoint
    identity = home.identity()
    config = write_oci_config(identity, home.path / "identity")
    match arguments.form:
        case "oci":
            print(oci_cli_lines(identity, endpoint, config), end="")
        case "sdk":
            print(sdk_lines(identity, endpoint, config), end="")
        case "ocifs":
            print(ocifs_line(endpoint, config))
        case "terraform":
            print(terraform_lines(identity, endpoint, home.path / "identity"), end="")
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
    home.info()  # raises if the home cannot be read; otherwise the list would just be empty
    for found in home.buckets.all():
        print(f"oci://{found.authority}/  {home.buckets.path(found.namespace, found.bucket)}")


def warm(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.engines.spark.engine import SparkEngine
    from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled

    home.create()
    try:
        with terminal.show_progress("Creating the class-data archive"):
            folder = SparkEngine(home.path, home.buckets, limit=1, warm=False).warm_up()
    except NotInstalled as e:
        raise CommandError(str(e)) from None
    if folder is None:
        raise CommandError(
            "The class-data archive could not be created. Runs work without it but start slower."
        )
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f"The class-data archive is ready: {folder} ({megabytes:.0f} MB).")
