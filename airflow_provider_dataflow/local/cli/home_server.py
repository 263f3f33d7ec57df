"""Connection from the command line to the running server of a home."""

from __future__ import annotations

from airflow_provider_dataflow.local.cli.command_errors import CommandError
from airflow_provider_dataflow.local.cli.server_client import ServerClient
from airflow_provider_dataflow.local.state.home import Home


def connect(home: Home) -> ServerClient:
    """Return a client of the server of this home.

    :raises CommandError: no server runs, or the server of another home listens at its port
    """
    info = home.info()
    if info is None:
        raise CommandError(f"No server runs with the home {home.path}. Start one: dataflow-local serve")
    server = ServerClient(info.endpoint)
    # After a crash, another server may have taken the port.
    pid = server.health()["pid"]
    if pid != info.pid:
        raise CommandError(
            f"The server of the home {home.path} (pid {info.pid}) has ended, and the server of another "
            f"home (pid {pid}) uses its port now, at {info.endpoint}. Start it again: dataflow-local serve"
        )
    return server
