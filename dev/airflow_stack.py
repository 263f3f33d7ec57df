"""Run a real Airflow on this machine: API server, scheduler, DAG processor and triggerer as processes.

The demo and the tests in ``tests/airflow`` use it. It is configured to start fast, but nothing is mocked:
tasks run in workers of the LocalExecutor, triggers in a triggerer.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from dev import processes
from dev.airflow_rest import AirflowRest
from dev.processes import StackError, Stoppable

COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    # The API server reads the log files itself. The log servers would listen on all network interfaces.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


#: Environment variable: seconds in which Airflow must have started.
START_TIMEOUT = "DATAFLOW_START_TIMEOUT"
DEFAULT_START_TIMEOUT_SECONDS = 600.0
#: Between two reports of what is waited for.
REPORT_SECONDS = 20.0


def silent(message: str) -> None:
    """Report nothing."""


def start_timeout() -> float:
    """Return the seconds in which Airflow must have started.

    :raises StackError: the environment variable is not a positive number.
    """
    value = os.environ.get(START_TIMEOUT, "")
    try:
        seconds = float(value) if value.strip() else DEFAULT_START_TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise StackError(f"{START_TIMEOUT}: expected a positive number of seconds, got {value!r}")
    return seconds


def settings(home: Path, dags: Path, port: int) -> dict[str, str]:
    """Return a configuration for fast start and reaction that listens on loopback only."""
    url = f"http://127.0.0.1:{port}"
    # Wait for locks instead of failing with "database is locked": four processes write to one file.
    database = f"sqlite:///{home / 'airflow.db'}?timeout=60"
    options: dict[str, dict[str, Any]] = {
        "core": {
            "dags_folder": dags,
            "executor": "LocalExecutor",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "parallelism": 4,
            "simple_auth_manager_all_admins": True,
            "execution_api_server_url": f"{url}/execution/",
            "fernet_key": "",
            # Nobody but the user of this machine reaches the server.
            "test_connection": "Enabled",
        },
        "database": {"sql_alchemy_conn": database},
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "base_url": url,
            "workers": 1,
            "secret_key": secrets.token_hex(24),
            "expose_config": False,
        },
        "api_auth": {"jwt_secret": secrets.token_hex(24)},
        "dag_processor": {"refresh_interval": 5, "min_file_process_interval": 5, "parsing_processes": 1},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.5,
            "job_heartbeat_sec": 2,
            "task_instance_heartbeat_sec": 3,
            "trigger_timeout_check_interval": 2,
        },
        "triggerer": {"job_heartbeat_sec": 2},
        # With the default of 5, workers on a busy machine ask again and again.
        "workers": {"execution_api_timeout": 30},
        "logging": {"base_log_folder": home / "logs"},
        "usage_data_collection": {"enabled": False},
    }
    return {
        f"AIRFLOW__{section}__{name}".upper(): str(value)
        for section, values in options.items()
        for name, value in values.items()
    }


class AirflowStack(Stoppable):
    """Start, monitor, kill and stop the processes of one Airflow. Use it as a context manager.

    Start it from the main thread: unless ``detached``, the processes end with the thread that started them.
    So an interrupted test session leaves none behind.

    :param home: folder for the database and the logs.
    :param dags: folder of the DAGs.
    :param env: further environment variables.
    :param port: of the API server; default: a free one.
    :param detached: the processes outlive this one.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        detached: bool = False,
    ) -> None:
        self.home = home.absolute()
        self.dags = dags.absolute()
        self.port = port or processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.rest = AirflowRest(self.url)
        self.detached = detached
        self.marker = f"airflow:{self.home}"
        self.processes: dict[str, psutil.Popen] = {}
        self.env = processes.child_environment(
            {
                **settings(self.home, self.dags, self.port),
                **(env or {}),
                "AIRFLOW_HOME": str(self.home),
                processes.MARKER: self.marker,
            }
        )

    # Start and stop ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Create the database, start all components and wait until they are healthy."""
        self.migrate()
        self.start_components()
        self.wait_healthy()

    def start_components(self) -> None:
        """Start all components without waiting until they are healthy."""
        for component in COMPONENTS:
            self.start_component(component)

    def migrate(self) -> None:
        """Create the database; SQLite in WAL mode, in which readers and a writer do not block each other."""
        self.home.mkdir(parents=True, exist_ok=True)
        done = self.cli("db", "migrate", timeout=start_timeout())
        if done.returncode:
            raise StackError(f"airflow db migrate failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        if not self.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite"):
            return
        with sqlite3.connect(self.home / "airflow.db") as database:
            database.execute("PRAGMA journal_mode=WAL")
        database.close()

    def start_component(self, component: str, *arguments: str, name: str | None = None) -> psutil.Popen:
        """Start one component.

        :param name: key in :attr:`processes`, if another one of its kind is running.
        """
        name = name or component
        process = processes.spawn(
            [sys.executable, "-m", "airflow", *COMPONENTS[component], *arguments],
            env=self.env,
            log=self.log_file(name),
            cwd=self.home,
            detached=self.detached,
        )
        self.processes[name] = process
        return process

    def wait_healthy(self, report: Callable[[str], None] = silent) -> None:
        """Wait until all components are healthy. On a busy machine, that can take minutes.

        :param report: called every 20 seconds with what is waited for.
        :raises StackError: one has ended, or is not healthy in time; with the end of its log.
        """
        timeout, began = start_timeout(), time.monotonic()
        reported_at = began
        while missing := self.rest.unhealthy():
            self.check_alive()
            now = time.monotonic()
            if now - began > timeout:
                logs = [f"--- {name}\n{processes.tail(self.log_file(name))}" for name in self.processes]
                what = (
                    f"Not healthy after {timeout:.0f} s, although its processes run: {', '.join(missing)}. "
                    f"If this machine is only slow, set {START_TIMEOUT} to more seconds."
                )
                raise StackError("\n".join([*logs, what]))
            if now - reported_at > REPORT_SECONDS:
                reported_at = now
                report(f"Waiting for {', '.join(missing)}")
            time.sleep(0.25)

    def check_alive(self) -> None:
        """Raise StackError if a component has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = processes.tail(self.log_file(name))
                raise StackError(f"{name} ended with code {process.returncode}:\n{log}")

    def stop(self) -> list[str]:
        """Stop all processes; return those that had to be killed because they outlived their parents."""
        self.rest.close()
        leaders = list(self.processes.values())
        # The API server stops last: the others report the end of their work to it.
        first = [process for name, process in self.processes.items() if not name.startswith("api-server")]
        killed = processes.stop("", first)
        killed += processes.stop(self.marker, leaders)
        self.processes.clear()
        return killed

    # Faults ------------------------------------------------------------------------------------------------

    def kill_component(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a component's main process, and wait for its end unless it is only suspended."""
        process = self.processes[name]
        process.send_signal(number)
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            process.wait(timeout=30)
            del self.processes[name]

    # Other access -----------------------------------------------------------------------------------------

    def cli(self, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command with the stack's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def log_file(self, name: str) -> Path:
        """Return the file that holds a component's output."""
        return self.home / "logs" / f"{name}.log"

    def pids(self) -> list[int]:
        """Return the process ids of the components."""
        return [process.pid for process in self.processes.values()]
