"""Settings of a server process; without the imports of the web server, which take a while."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_dataflow.local.state.options import ClockName, EngineName, Options

HOST = "127.0.0.1"
DEFAULT_PORT = 8170


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a server process.

    :param port: 0 takes any free port
    :param max_concurrent_runs: by default what the machine can take; no limit with the scripted engine
    :param warm: create the class-data archive when the server is idle
    :param exit_with_stdin: stop when stdin ends, that is, with the process that started this one
    """

    port: int = DEFAULT_PORT
    max_concurrent_runs: int | None = None
    warm: bool = True
    options: Options = field(default_factory=Options)
    engine: EngineName = EngineName.SPARK
    clock: ClockName = ClockName.SYSTEM
    exit_with_stdin: bool = False
