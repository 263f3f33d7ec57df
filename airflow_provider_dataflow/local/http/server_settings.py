"""Settings of a server process. Does not import the web server, which is slow to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_dataflow.local.state.options import ClockName, EngineName, Options

HOST = "127.0.0.1"
DEFAULT_PORT = 8170


def endpoint_of(port: int) -> str:
    """Return the URL of the server that listens on this port."""
    return f"http://{HOST}:{port}"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a server process.

    :param port: TCP port; 0 for any free one.
    :param max_concurrent_runs: maximum number of runs in progress. Default: what the machine's CPUs and
        memory allow; no limit with the scripted engine.
    :param warm: while the server is idle, create the class-data archive, with which runs start faster.
    :param exit_with_stdin: stop when stdin ends, which happens when the parent process ends.
    """

    port: int = DEFAULT_PORT
    max_concurrent_runs: int | None = None
    warm: bool = True
    options: Options = field(default_factory=Options)
    engine: EngineName = EngineName.SPARK
    clock: ClockName = ClockName.SYSTEM
    exit_with_stdin: bool = False
