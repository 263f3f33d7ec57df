"""Commands about SQL endpoints: list, show, maintain."""

from __future__ import annotations

import argparse
from typing import Any

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.cli.command_errors import CommandError
from airflow_provider_dataflow.local.cli.home_server import connect
from airflow_provider_dataflow.local.cli.server_client import RequestFailed, ServerClient
from airflow_provider_dataflow.local.engines.json_fields import shown
from airflow_provider_dataflow.local.state.home import Home


def list_endpoints(home: Home, arguments: argparse.Namespace) -> None:
    found = connect(home).call("GET", "sqlEndpoints")
    if arguments.json:
        terminal.print_json(found)
        return
    for endpoint in found:
        last = endpoint["jdbcEndpointUrl"] or endpoint["stateMessage"] or ""
        text = terminal.printable(f"{endpoint['displayName']}  {last}".rstrip())
        print(f"{endpoint['id']}  {terminal.paint_state(endpoint['lifecycleState'], 9)}  {text}")


def show(home: Home, arguments: argparse.Namespace) -> None:
    terminal.print_json(_get(connect(home), arguments.sql_endpoint_id))


def maintain(home: Home, arguments: argparse.Namespace) -> None:
    server, id_ = connect(home), arguments.sql_endpoint_id
    _get(server, id_)
    server.call("POST", "sqlEndpoints", id_, "maintain")
    print(f"{id_}  {terminal.paint_state(_get(server, id_)['lifecycleState'])}")


def _get(server: ServerClient, id_: str) -> dict[str, Any]:
    """Return a SQL endpoint.

    :raises CommandError: it does not exist
    """
    try:
        endpoint: dict[str, Any] = server.call("GET", "sqlEndpoints", id_)
    except RequestFailed as e:
        if e.status != 404:
            raise
        raise CommandError(f"There is no SQL endpoint {shown(id_)}.") from None
    return endpoint
