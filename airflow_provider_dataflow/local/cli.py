"""``dataflow-local``: serve, and look at what a server does."""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local.buckets import DEFAULT_NAMESPACE, parse_uri
from airflow_provider_dataflow.local.connection import connection_line
from airflow_provider_dataflow.local.home import DEFAULT_HOME, HOME_VARIABLE, Home, HomeInUse, ServerInfo
from airflow_provider_dataflow.run import is_terminal

# Never by way of a proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CommandError(Exception):
    """To be shown, without a traceback."""


def _get(info: ServerInfo, path: str) -> bytes:
    try:
        with _opener.open(f"{info.endpoint}/_local/{path}", timeout=10) as response:
            content: bytes = response.read()
            return gzip.decompress(content) if response.headers.get("content-encoding") == "gzip" else content
    except urllib.error.HTTPError as e:
        if e.code == 404:
            raise CommandError("There is no such run, or it has no such log.") from None
        raise CommandError(f"The server answered {e.code}.") from None
    except (urllib.error.URLError, OSError) as e:
        raise CommandError(f"No server answers at {info.endpoint}: {getattr(e, 'reason', e)}.") from None


def _server(home: Home) -> ServerInfo:
    info = home.info()
    if info is None:
        raise CommandError(f"No server runs with the home {home.path}.")
    return info


def _serve(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled
    from airflow_provider_dataflow.local.options import Options
    from airflow_provider_dataflow.local.server import Settings, serve

    logging.basicConfig(
        level=logging.WARNING if arguments.quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )

    def announce(info: ServerInfo, engine: Any) -> None:
        if arguments.quiet:
            return
        print(f"Local Data Flow serves {info.endpoint} ({engine.describe()}).")
        print(f"Home:    {home.path}")
        print(f"Buckets: {home.buckets.root}/<namespace>/<bucket> is oci://<bucket>@<namespace>/")
        print(f"Console: {info.endpoint}/console/")
        print("\nFor Airflow, paste this into its environment:\n")
        print(connection_line(home.identity(), info.endpoint), flush=True)
        print("\nStop with Ctrl-C.", flush=True)

    settings = Settings(
        port=arguments.port,
        max_concurrent_runs=arguments.max_concurrent_runs,
        warm=not arguments.no_warm,
        options=Options(verify_signatures=not arguments.no_verify),
        exit_with_stdin=arguments.exit_with_stdin,
    )
    try:
        serve(home, settings, announce)
    except (HomeInUse, NotInstalled) as e:
        raise CommandError(str(e)) from None
    except OSError as e:
        raise CommandError(f"Cannot serve on port {arguments.port}: {e.strerror}.") from None


def _status(home: Home, arguments: argparse.Namespace) -> None:
    info = _server(home)
    health = json.loads(_get(info, "health"))
    runs = health["runs"]
    print(f"{info.endpoint} is up (pid {health['pid']}, engine {health['engine']} {health['sparkVersion']})")
    print(
        f"runs: {runs['active']} of {runs['limit']} active, {runs['waiting']} waiting, {runs['total']} in all"
    )


def _runs(home: Home, arguments: argparse.Namespace) -> None:
    for run in json.loads(_get(_server(home), "runs"))[: arguments.limit]:
        duration = run["runDurationInMilliseconds"]
        seconds = "" if duration is None else f"{duration / 1000:.1f} s"
        name, details = run["displayName"], run["lifecycleDetails"] or ""
        print(f"{run['id']}  {run['lifecycleState']:<11}  {seconds:>9}  {name}  {details}".rstrip())


def _logs(home: Home, arguments: argparse.Namespace) -> None:
    info = _server(home)
    name = arguments.name or f"spark_application_{'stderr' if arguments.stderr else 'stdout'}.log.gz"
    if arguments.list:
        print("\n".join(json.loads(_get(info, f"runs/{arguments.run_id}"))["logs"]))
        return
    shown = 0
    while True:
        run = json.loads(_get(info, f"runs/{arguments.run_id}"))
        ended = is_terminal(run["lifecycleState"])
        try:
            content = _get(info, f"runs/{arguments.run_id}/logs/{name}")
        except CommandError:
            if not arguments.follow or ended:
                raise
            content = b""
        sys.stdout.write(content[shown:].decode(errors="replace"))
        sys.stdout.flush()
        shown = len(content)
        if ended or not arguments.follow:
            return
        time.sleep(1)


def _connection(home: Home, arguments: argparse.Namespace) -> None:
    info = home.info()
    if arguments.port:
        endpoint = f"http://127.0.0.1:{arguments.port}"
    elif info is not None:
        endpoint = info.endpoint
    else:
        from airflow_provider_dataflow.local.server import DEFAULT_PORT

        endpoint = f"http://127.0.0.1:{DEFAULT_PORT}"
    print(connection_line(home.identity(), endpoint))


def _bucket(home: Home, arguments: argparse.Namespace) -> None:
    if arguments.bucket is None:
        for bucket in home.buckets.all():
            print(f"oci://{bucket.authority}/  {home.buckets.path(bucket.namespace, bucket.bucket)}")
        return
    name = arguments.bucket.removeprefix("oci://").rstrip("/")
    try:
        uri = parse_uri(f"oci://{name if '@' in name else f'{name}@{DEFAULT_NAMESPACE}'}/")
    except ValueError as e:
        raise CommandError(f"{e}.") from None
    print(home.buckets.create(uri.namespace, uri.bucket))


def _warm(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.engines.spark.engine import SparkEngine
    from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled

    home.create()
    try:
        ready = SparkEngine(home.path, home.buckets, limit=1, warm=False).warm_up()
    except NotInstalled as e:
        raise CommandError(str(e)) from None
    if not ready:
        raise CommandError(
            "The class-data archive could not be made; runs work without it, but start slower."
        )
    print("The class-data archive is ready.")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dataflow-local",
        description="OCI Data Flow on this machine: its API on loopback, runs on real Spark.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME),
        help=f"the folder that holds everything (default: ${HOME_VARIABLE} or {DEFAULT_HOME})",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, help: str) -> argparse.ArgumentParser:
        description = f"{help[0].upper()}{help[1:]}."
        command = commands.add_parser(name, help=help, description=description, parents=[common])
        command.set_defaults(function=function)
        return command

    serve = add("serve", _serve, "serve until Ctrl-C")
    serve.add_argument(
        "--port", type=int, default=8170, help="0 takes any that is free (default: %(default)s)"
    )
    serve.add_argument(
        "--max-concurrent-runs", type=_positive, metavar="N", help="others wait (default: by machine)"
    )
    serve.add_argument("--no-verify", action="store_true", help="accept requests that are not signed")
    serve.add_argument("--no-warm", action="store_true", help="do not make the class-data archive when idle")
    serve.add_argument("--exit-with-stdin", action="store_true", help="end when stdin ends")
    serve.add_argument("--quiet", action="store_true", help="say nothing but warnings")
    add("status", _status, "say whether a server runs, and how many runs")
    runs = add("runs", _runs, "list the newest runs")
    runs.add_argument(
        "--limit", type=_positive, default=20, metavar="N", help="how many (default: %(default)s)"
    )
    logs = add("logs", _logs, "show a log of a run")
    logs.add_argument("run_id", metavar="RUN_ID")
    logs.add_argument("--name", help="the name of the log (default: the application's stdout)")
    logs.add_argument("--stderr", action="store_true", help="the application's stderr")
    logs.add_argument("--follow", "-f", action="store_true", help="until the run has ended")
    logs.add_argument("--list", "-l", action="store_true", help="only the names")
    connection = add("connection", _connection, "print the connection to paste into Airflow's environment")
    connection.add_argument("--port", type=int, help="of a server that does not run yet")
    bucket = add("bucket", _bucket, "create a bucket and print its folder, or list all")
    bucket.add_argument("bucket", nargs="?", metavar="NAME[@NAMESPACE]")
    add("warm", _warm, "make now what halves the start of runs (half a minute, once per machine)")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        arguments.function(Home(arguments.home), arguments)
    except CommandError as e:
        print(f"dataflow-local: {e}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0
